/** Faults of a whole host, by means of its own: a crash with its boot, a cut in its network, a full disk. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { PerijoveError } from '../errors/error.js';
import { hostPaths } from '../hosts/paths.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { sameScript } from './marks.js';
import type { Fault } from './model.js';

type Reboot = Extract<Fault, { kind: 'host-reboot' }>;
export type Partition = Extract<Fault, { kind: 'partition' }>;
export type DiskFill = Extract<Fault, { kind: 'disk-fill' }>;

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
/** Well after the last timer of a fault has ended, and after the last attempt to make it. */
const forgottenMinutes = 60;

const markOf = (host: HostSpec, { kind, id }: Partition | DiskFill) => `${hostPaths(host).run}/${kind}-${id}`;

/** Goes on only where this fault was not made before, and marks it as made: by an empty file. */
function unlessMade(host: HostSpec, fault: Partition | DiskFill): string {
  const mark = quote(markOf(host, fault));
  const marks = quote(`${fault.kind}-*`);
  return `[ ! -e ${mark} ] || exit 0
find ${quote(hostPaths(host).run)} -maxdepth 1 -name ${marks} -mmin +${forgottenMinutes} -exec rm -f {} + || exit 1
: > ${mark} || exit 1`;
}

/** Keeps a fault that comes late from being made. It may not be mended yet. */
const markMade = (host: HostSpec, fault: Partition | DiskFill) => `: > ${quote(markOf(host, fault))}`;

/** Says in the mark that the fault is mended, so that its timer has nothing left to do. */
const markMended = (host: HostSpec, fault: Partition | DiskFill) =>
  `echo mended > ${quote(markOf(host, fault))}`;

/** Starts what mends the fault after its time, should nobody else have done so: it ends within a second of that. */
function armTimer(host: HostSpec, fault: Partition | DiskFill, begin: string, heal: string): string {
  const timer = `${begin}
left=${Math.ceil(fault.forMs / 1_000)}
while [ "$left" -gt 0 ]; do
  [ ! -s ${quote(markOf(host, fault))} ] || exit 0
  left=$((left - 1))
  sleep 1
done
${heal}`;
  return `setsid sh -c ${quote(timer)} >/dev/null 2>&1 </dev/null &`;
}

function notPossible(host: HostSpec, why: string): PerijoveError {
  return new PerijoveError('DRILL_NOT_POSSIBLE', `${host.name}: ${why}`, { host: host.name });
}

/** @throws PerijoveError DRILL_NOT_POSSIBLE, SSH_* */
async function ask(pool: SshPool, host: HostSpec, script: string, timeoutMs = askMs): Promise<string> {
  const connection = await pool.get(host);
  const { code, stdout, stderr } = await connection.exec(script, { timeoutMs });
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
    `${sameScript}
[ "$(id -u)" = 0 ] || { echo 'only root can crash it' >&2; exit 1; }
[ -d /run/systemd/system ] || { echo 'without systemd nobody would boot it again' >&2; exit 1; }
stat_of 1 && echo "$start"`,
  );
  if (!/^\d+$/.test(start)) throw notPossible(host, 'it does not tell since when it runs');
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

/** Removes the rules, whatever is there of them; fails unless iptables says that none is left. */
const mendScript = `
mend() {
  for hook in INPUT OUTPUT FORWARD; do
    while iptables -w -D $hook -j ${chain} 2>/dev/null; do :; done
  done
  iptables -w -F ${chain} 2>/dev/null
  iptables -w -X ${chain} 2>/dev/null
  rules=$(iptables -w -S) || { echo 'iptables does not tell which rules are left' >&2; return 1; }
  case $rules in
  *${chain}*) echo 'the rules of the cut are still there' >&2; return 1 ;;
  *'-P INPUT '*) ;;
  *) echo 'iptables tells of no rules at all' >&2; return 1 ;;
  esac
}`;

/** Makes all rules first, and arms what mends it; then one rule for each way cuts the host off. */
export function cutScript(host: HostSpec, fault: Partition): string {
  const { device, peers } = fault;
  const rules =
    peers === undefined
      ? [`-i ${quote(device)}`, `-o ${quote(device)}`]
      : peers.flatMap((peer) => [`-s ${peer}`, `-d ${peer}`]);
  const cut = `${mendScript}
sleep ${noticeSeconds}
for hook in INPUT OUTPUT FORWARD; do iptables -w -I $hook -j ${chain}; done`;
  return `${mendScript}
${unlessMade(host, fault)}
mend || exit 1
iptables -w -N ${chain} || exit 1
${rules.map((rule) => `iptables -w -A ${chain} ${rule} -j DROP || exit 1`).join('\n')}
${armTimer(host, fault, cut, 'until mend; do sleep 1; done')}`;
}

/** Cuts the host off, unless it was before. It mends itself when nobody else does. */
export async function cutOff(pool: SshPool, host: HostSpec, fault: Partition): Promise<void> {
  await ask(pool, host, cutScript(host, fault));
  await delay(noticeSeconds * 1_000);
}

/** Mends the cut as soon as the host can be reached; one that comes late is not made any more. */
export async function mend(pool: SshPool, host: HostSpec, fault: Partition): Promise<void> {
  const script = `${mendScript}
${markMade(host, fault)} && mend && ${markMended(host, fault)}`;
  await askUntilAnswered(pool, host, script, neglectedMs);
}

// --- disk -------------------------------------------------------------------------------------------------

/** Long enough for every service to meet it. */
const fullMs = 20_000;
const fillMs = 10_000;

interface FileSystem {
  /** The boot of the kernel that has it mounted. */
  readonly kernel: string;
  /** In 512 bytes. Containers see the file system of their machine under names of their own, but in its size. */
  readonly size: string;
}

const lookAtDisk = (dir: string) => `cat /proc/sys/kernel/random/boot_id && stat -f -c '%b %S' ${dir}`;
/** Undefined for anything but all of it: what is not known of two disks must not make them different ones. */
const parseDisk = (printed: string): FileSystem | undefined => {
  const [, kernel, blocks, size] = /^([0-9a-f-]{36})\n(\d+) (\d+)$/.exec(printed.trim()) ?? [];
  if (kernel === undefined || blocks === undefined || size === undefined) return undefined;
  return { kernel, size: String((BigInt(blocks) * BigInt(size)) / 512n) };
};
const isSame = (one: FileSystem, other: FileSystem) => one.kernel === other.kernel && one.size === other.size;

/**
 * Refuses where another host of the cluster, or this worker, may have the same file system: that would be full as well.
 *
 * @throws PerijoveError DRILL_NOT_POSSIBLE, SSH_*
 */
export async function planDiskFill(
  { pool, spec }: { readonly pool: SshPool; readonly spec: Pick<ClusterSpec, 'hosts'> },
  host: HostSpec,
): Promise<DiskFill> {
  const told = (disk: FileSystem | undefined, whose: string): FileSystem => {
    if (disk === undefined) throw notPossible(host, `${whose} does not tell which disk it has`);
    return disk;
  };
  const diskOf = async (of: HostSpec) =>
    told(parseDisk(await ask(pool, of, lookAtDisk(quote(of.dir)))), of.name);
  const own = await diskOf(host);
  for (const other of spec.hosts.filter(({ name }) => name !== host.name)) {
    if (isSame(own, await diskOf(other))) {
      throw notPossible(host, `${host.dir} seems to lie on one disk with ${other.dir} of ${other.name}`);
    }
  }
  const { stdout } = await promisify(execFile)('sh', ['-c', lookAtDisk('/')]);
  if (isSame(own, told(parseDisk(stdout), 'this worker')))
    throw notPossible(host, `${host.dir} seems to lie on the disk of this worker`);
  return { kind: 'disk-fill', host: host.name, id: randomUUID(), forMs: fullMs };
}

const fillFile = (host: HostSpec, { id }: DiskFill) => `${host.dir}/disk-fill-${id}`;

/** Fills the disk, unless it did before; and frees it by itself. */
export async function fillDisk(pool: SshPool, host: HostSpec, fault: DiskFill): Promise<void> {
  const file = quote(fillFile(host, fault));
  await ask(
    pool,
    host,
    `${unlessMade(host, fault)}
${armTimer(host, fault, '', `rm -f ${file}`)}
# At once what can be had at once, then what is left; a few files may have been freed meanwhile.
fallocate -l "$(df --output=avail -B1 ${quote(host.dir)} | tail -n 1)" ${file} 2>/dev/null
timeout 3 dd if=/dev/zero bs=64k oflag=append conv=notrunc of=${file} 2>/dev/null
timeout 1 dd if=/dev/zero bs=512 oflag=append conv=notrunc of=${file} 2>&1 | grep -q 'No space left' ||
  { rm -f ${file}; echo 'its disk cannot be filled within seconds' >&2; exit 1; }`,
    fillMs,
  );
}

/** Waits until the host has room again, and sees to it; a fill that comes late is not made any more. */
export async function freeDisk(pool: SshPool, host: HostSpec, fault: DiskFill): Promise<void> {
  const { forMs } = fault;
  const file = quote(fillFile(host, fault));
  const end = performance.now() + forMs;
  while (performance.now() < end) {
    const left = await askUntilAnswered(pool, host, `[ ! -e ${file} ] || echo full`, forMs);
    if (left === '') break;
    await delay(pauseMs);
  }
  await askUntilAnswered(
    pool,
    host,
    `${markMade(host, fault)} && rm -f ${file} && ${markMended(host, fault)}`,
    neglectedMs,
  );
}
