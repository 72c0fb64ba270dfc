import { quote } from '../../ssh/shell.js';
import { brickPath } from '../../storage/gluster.js';
import { sameScript, type ProcessMark } from '../marks.js';
import type { DrillOf, FaultDeps, FaultKind } from './kind.js';
import { absent, hostNamed, onHost, signalProcess } from './reaching.js';

/** Kills a brick of the GlusterFS volume. */
export interface BrickKill {
  readonly kind: 'brick-kill';
  readonly host: string;
  readonly volume: string;
  readonly process: ProcessMark;
}

export const brickKillDrills = [
  {
    name: 'gluster-brick-down',
    what: 'SIGKILL to a brick of the GlusterFS volume; files written in the meantime are healed when it is back',
    target: 'brick',
    expects: 'jupyter-back',
    mayFail: 'none',
    budgetMs: { warm: 5_000, cold: 5_000 },
    needs: 'gluster',
    plan: planBrick,
  },
] as const satisfies readonly DrillOf<BrickKill>[];

export const brickKill: FaultKind<BrickKill> = {
  kind: 'brick-kill',
  inject: (deps, { host, process }) => signalProcess(deps, host, process, 'KILL'),
  heal: (deps, { host, volume }) => onHost(deps, host, [startBricksScript(volume)]),
  injected: ({ host, volume }) => `SIGKILL to the brick of ${volume} on ${host}`,
  healed: ({ host }) => `started the brick on ${host}`,
};

async function planBrick({ pool, spec }: FaultDeps, _roles: unknown, target: string): Promise<BrickKill> {
  const host = hostNamed(spec, target);
  const { storage } = spec;
  if (storage.kind !== 'gluster') throw absent('notebooks are not on a GlusterFS volume');
  const connection = await pool.get(host);
  const output = await connection.run(`${sameScript}
for pid in $(pidof glusterfsd); do
  if tr '\\0' ' ' < "/proc/$pid/cmdline" | grep -qF ${quote(` ${brickPath(storage)} `)}; then
    stat_of "$pid" && echo "$pid $start"
  fi
done`);
  const [pid, start] = output.trim().split(' ').map(Number);
  if (!pid || !start) throw absent(`no brick of ${storage.volume} is running on ${host.name}`);
  return { kind: 'brick-kill', host: host.name, volume: storage.volume, process: { pid, start } };
}

/**
 * Starts the bricks of a volume that are down and leaves the others alone; also starts a volume that was
 * stopped or deleted meanwhile. Fails when the state is unknown.
 */
export function startBricksScript(volume: string): string {
  return `
info=$(gluster --mode=script volume info ${quote(volume)} 2>&1) || {
  case $info in *'does not exist'*) exit 0 ;; esac
  echo "$info" >&2
  exit 1
}
case $info in
*'Status: Started'*) gluster --mode=script volume start ${quote(volume)} force ;;
*'Status: Stopped'* | *'Status: Created'*) ;;
*) echo ${quote(`gluster did not report the status of ${volume}`)} >&2; exit 1 ;;
esac`.trim();
}
