import type { HostSpec } from '../../cluster/spec.js';
import { PerijoveError } from '../../errors/error.js';
import type { SshPool } from '../../ssh/connection.js';
import { sameScript, type ProcessMark } from '../marks.js';
import { ask, askUntilAnswered, noticeSeconds, notPossible } from './asking.js';
import type { DrillOf, FaultKind } from './kind.js';
import { hostNamed, labOf } from './reaching.js';

/** Ends all processes of a lab host at once; healing boots it. */
export interface HostCrash {
  readonly kind: 'host-crash';
  readonly host: string;
}

/** A host crashes and reboots. */
export interface HostReboot {
  readonly kind: 'host-reboot';
  readonly host: string;
  /** Its process 1; another one after the boot. */
  readonly init: ProcessMark;
}

/** A physical machine may need minutes to boot. */
const bootMs = 240_000;

export const hostCrashDrills = [
  {
    name: 'host-crash',
    what: 'a power cut: everything on a host ends at once without a clean shutdown; then the host boots',
    target: 'host',
    expects: 'jupyter-back',
    mayFail: 'all',
    kernels: 'lost',
    budgetMs: { warm: 5_000, cold: 20_000 },
    beginsAfter: 'storage',
    needs: 'lab or network',
    plan: async (deps, _roles, target) =>
      deps.lab ? { kind: 'host-crash', host: target } : planReboot(deps.pool, hostNamed(deps.spec, target)),
  },
] as const satisfies readonly DrillOf<HostCrash | HostReboot>[];

export const hostCrash: FaultKind<HostCrash> = {
  kind: 'host-crash',
  inject: (deps, { kind, host }) => labOf(deps, kind).crashHost(host),
  heal: (deps, { kind, host }) => labOf(deps, kind).bootHost(host),
  injected: ({ host }) => `SIGKILL to every process on ${host}`,
  healed: ({ host }) => `booted ${host}`,
  downHost: ({ host }) => host,
};

export const hostReboot: FaultKind<HostReboot> = {
  kind: 'host-reboot',
  inject: ({ pool, spec }, fault) => reboot(pool, hostNamed(spec, fault.host), fault),
  heal: ({ pool, spec }, { host }) => untilBooted(pool, hostNamed(spec, host)),
  injected: ({ host }) => `${host} reboots without a clean shutdown`,
  healed: ({ host }) => `${host} has booted`,
  downHost: ({ host }) => host,
};

/** @throws PerijoveError DRILL_NOT_POSSIBLE, SSH_* */
async function planReboot(pool: SshPool, host: HostSpec): Promise<HostReboot> {
  const start = await ask(
    pool,
    host,
    `${sameScript}
[ "$(id -u)" = 0 ] || { echo 'only root can crash the host' >&2; exit 1; }
[ -d /run/systemd/system ] || { echo 'without systemd the host would not be rebooted' >&2; exit 1; }
stat_of 1 && echo "$start"`,
  );
  if (!/^\d+$/.test(start)) throw notPossible(host, 'it did not report when it booted');
  return { kind: 'host-reboot', host: host.name, init: { pid: 1, start: Number(start) } };
}

/**
 * Crashes the host, unless it has booted since: no orderly shutdown, no writes to its disks.
 *
 * @throws PerijoveError DRILL_NOT_POSSIBLE when the host keeps running
 */
async function reboot(pool: SshPool, host: HostSpec, { init }: HostReboot): Promise<void> {
  const goesOn = await ask(
    pool,
    host,
    `${sameScript}
same 1 ${init.start} || exit 0
setsid sh -c 'sleep ${noticeSeconds}; exec systemctl reboot --force --force' >/dev/null 2>&1 </dev/null &
sleep 2
echo yes`,
  ).catch((error: unknown) => {
    if (error instanceof PerijoveError && error.code === 'DRILL_NOT_POSSIBLE') throw error;
    return '';
  });
  if (goesOn === 'yes') throw notPossible(host, 'it could not be rebooted');
}

/** Resolves when the host responds; at once if it did not crash. @throws PerijoveError SSH_* */
async function untilBooted(pool: SshPool, host: HostSpec): Promise<void> {
  await askUntilAnswered(pool, host, ':', bootMs);
}
