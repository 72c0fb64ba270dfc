/** Faults of a whole host, by means of its own: a crash with its boot, and a cut in its network. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { PerijoveError } from '../errors/error.js';
import { hostPaths } from '../hosts/paths.js';
import type { ClusterSpec, HostSpec } from '../spec/cluster.js';
import type { SshPool } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { sameScript } from './marks.js';
import type { Fault } from './model.js';

type Reboot = Extract<Fault, { kind: 'host-reboot' }>;
export type Partition = Extract<Fault, { kind: 'partition' }>;

/** The answer to the command that does it is on its way by then. */
const noticeSeconds = 0.2;
const askMs = 4_000;
const pauseMs = 500;
/** A machine of metal may need minutes to boot. */
const bootMs = 240_000;
/** Longer than a proxy or a node needs to turn elsewhere, shorter than a master gives an agent that is silent. */
const isolatedMs = 20_000;
/** In case nobody is left to mend it. */
const neglectedMs = 180_000;
const chain = 'PERIJOVE-DRILL';

function notPossible(host: HostSpec, why: string): PerijoveError {
  return new PerijoveError('DRILL_NOT_POSSIBLE', `${host.name}: ${why}`, { host: host.name });
}

/** @throws PerijoveError DRILL_NOT_POSSIBLE, SSH_* */
async function ask(pool: SshPool, host: HostSpec, script: string): Promise<string> {
  const connection = await pool.get(host);
  const { code, stdout, stderr } = await connection.exec(script, { timeoutMs: askMs });
  if (code !== 0) throw notPossible(host, stderr.trim().split('\n').at(-1) ?? `exit code ${code ?? '?'}`);
  return stdout.trim();
}

/** The same, again until the host answers. */
async function askUntilAnswered(
  pool: SshPool,
  host: HostSpec,
  script: string,
  deadlineMs: number,
): Promise<string> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    try {
      return await ask(pool, host, script);
    } catch (error) {
      const refused = error instanceof PerijoveError && error.code === 'DRILL_NOT_POSSIBLE';
      if (refused || performance.now() > end) throw error;
      await delay(pauseMs);
    }
  }
}

// --- crash ------------------------------------------------------------------------------------------------

/** @throws PerijoveError DRILL_NOT_POSSIBLE, SSH_* */
export async function planReboot(pool: SshPool, host: HostSpec): Promise<Reboot> {
  const start = await ask(
    pool,
    host,
    `[ "$(id -u)" = 0 ] || { echo 'only root can crash it' >&2; exit 1; }
[ -d /run/systemd/system ] || { echo 'without systemd nobody would boot it again' >&2; exit 1; }
sed 's/.*) //' /proc/1/stat | cut -d' ' -f20`,
  );
  return { kind: 'host-reboot', host: host.name, init: { pid: 1, start: Number(start) } };
}

/**
 * Crashes the host, unless it has booted since: nothing is ended in order, and nothing is written to its disks.
 *
 * @throws PerijoveError DRILL_NOT_POSSIBLE when it goes on all the same
 */
export async function reboot(pool: SshPool, host: HostSpec, { init }: Reboot): Promise<void> {
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
  if (goesOn === 'yes') throw notPossible(host, 'it does not let itself be rebooted');
}

/** Resolves when the host answers. One that was not crashed does so at once. @throws PerijoveError SSH_* */
export async function untilBooted(pool: SshPool, host: HostSpec): Promise<void> {
  await askUntilAnswered(pool, host, ':', bootMs);
}

// --- partition --------------------------------------------------------------------------------------------

/** @throws PerijoveError DRILL_NOT_POSSIBLE, SSH_* */
export async function planPartition(
  { pool, spec }: { readonly pool: SshPool; readonly spec: Pick<ClusterSpec, 'hosts'> },
  host: HostSpec,
  from: 'all' | 'peers',
): Promise<Partition> {
  const device = await ask(
    pool,
    host,
    `[ "$(id -u)" = 0 ] || { echo 'only root can cut it off' >&2; exit 1; }
command -v iptables >/dev/null || { echo 'it has no iptables' >&2; exit 1; }
ip -o -4 addr show to ${host.address} | awk 'NR == 1 { print $2 }'`,
  );
  if (device === '') throw notPossible(host, `no interface of it has the address ${host.address}`);
  const peers = spec.hosts.map(({ address }) => address).filter((address) => address !== host.address);
  return {
    kind: 'partition',
    host: host.name,
    id: randomUUID(),
    device,
    ...(from === 'peers' && { peers }),
    forMs: from === 'all' ? isolatedMs : neglectedMs,
  };
}

const markOf = (host: HostSpec, id: string) => `${hostPaths(host).run}/partition-${id}`;

/** Removes the rules, whatever is there of them. */
const mendScript = `
mend() {
  for hook in INPUT OUTPUT FORWARD; do
    while iptables -w -D $hook -j ${chain} 2>/dev/null; do :; done
  done
  iptables -w -F ${chain} 2>/dev/null
  iptables -w -X ${chain} 2>/dev/null
  :
}`;

/** Makes all rules first, and arms what mends it; then one rule for each way cuts the host off. */
export function cutScript(host: HostSpec, { id, device, peers, forMs }: Partition): string {
  const mark = markOf(host, id);
  const rules =
    peers === undefined
      ? [`-i ${quote(device)}`, `-o ${quote(device)}`]
      : peers.flatMap((peer) => [`-s ${peer}`, `-d ${peer}`]);
  const later = `${mendScript}
sleep ${noticeSeconds}
for hook in INPUT OUTPUT FORWARD; do iptables -w -I $hook -j ${chain}; done
sleep ${forMs / 1_000}
mend`;
  return `${mendScript}
[ ! -e ${quote(mark)} ] || exit 0
rm -f ${quote(hostPaths(host).run)}/partition-*
: > ${quote(mark)}
mend
iptables -w -N ${chain} || exit 1
${rules.map((rule) => `iptables -w -A ${chain} ${rule} -j DROP || exit 1`).join('\n')}
setsid sh -c ${quote(later)} >/dev/null 2>&1 </dev/null &`;
}

/** Cuts the host off, unless it was before. It mends itself when nobody else does. */
export async function cutOff(pool: SshPool, host: HostSpec, fault: Partition): Promise<void> {
  await ask(pool, host, cutScript(host, fault));
  await delay(noticeSeconds * 1_000);
}

/** Mends the cut as soon as the host can be reached; one that comes late is not made any more. */
export async function mend(pool: SshPool, host: HostSpec, { id }: Partition): Promise<void> {
  await askUntilAnswered(pool, host, `${mendScript}\n: > ${quote(markOf(host, id))}\nmend`, neglectedMs);
}
