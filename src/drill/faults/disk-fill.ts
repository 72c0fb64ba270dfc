import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { ClusterSpec, HostSpec } from '../../cluster/spec.js';
import { formatDuration } from '../../cluster/units.js';
import type { SshPool } from '../../ssh/connection.js';
import { quote } from '../../ssh/shell.js';
import {
  armTimer,
  ask,
  askUntilAnswered,
  isMended,
  markMade,
  markMended,
  neglectedMs,
  notPossible,
  pauseMs,
  unlessMade,
} from './asking.js';
import type { DrillOf, FaultKind } from './kind.js';
import { hostNamed } from './reaching.js';

/** Fills the disk of a host. */
export interface DiskFill {
  readonly kind: 'disk-fill';
  readonly host: string;
  /** Unique to this fill: a healed one is not injected again. */
  readonly id: string;
  /** After this the host frees it automatically. */
  readonly forMs: number;
}

export const diskFillDrills = [
  {
    name: 'disk-full',
    what: 'the file system that holds all data of the cluster on a host is completely full for 20 s',
    target: 'host',
    expects: 'jupyter-back',
    mayFail: 'all',
    budgetMs: { warm: 5_000, cold: 20_000 },
    needs: 'network',
    plan: (deps, _roles, target) => planDiskFill(deps, hostNamed(deps.spec, target)),
  },
] as const satisfies readonly DrillOf<DiskFill>[];

export const diskFill: FaultKind<DiskFill> = {
  kind: 'disk-fill',
  inject: ({ pool, spec }, fault) => fillDisk(pool, hostNamed(spec, fault.host), fault),
  heal: ({ pool, spec }, fault) => freeDisk(pool, hostNamed(spec, fault.host), fault),
  injected: ({ host, forMs }) => `the disk of ${host} is full for ${formatDuration(forMs)}`,
  healed: ({ host }) => `the disk of ${host} has free space again`,
};

/** Long enough to affect every service. */
const fullMs = 20_000;
const fillMs = 10_000;

interface FileSystem {
  /** Boot ID of the kernel that has it mounted. */
  readonly kernel: string;
  /**
   * In 512-byte blocks. Containers see their machine's file system under other names, but with the same size.
   */
  readonly size: string;
}

const observeDisk = (dir: string) => `cat /proc/sys/kernel/random/boot_id && stat -f -c '%b %S' ${dir}`;
/** Undefined for incomplete output: unknown facts must not make two disks different. */
const parseDisk = (printed: string): FileSystem | undefined => {
  const [, kernel, blocks, size] = /^([0-9a-f-]{36})\n(\d+) (\d+)$/.exec(printed.trim()) ?? [];
  if (kernel === undefined || blocks === undefined || size === undefined) return undefined;
  return { kernel, size: String((BigInt(blocks) * BigInt(size)) / 512n) };
};
const isSame = (one: FileSystem, other: FileSystem) => one.kernel === other.kernel && one.size === other.size;

/**
 * Refuses a disk that another host of the cluster, or this worker, may share: it would be full as well.
 *
 * @throws PerijoveError DRILL_NOT_POSSIBLE, SSH_*
 */
export async function planDiskFill(
  { pool, spec }: { readonly pool: SshPool; readonly spec: Pick<ClusterSpec, 'hosts'> },
  host: HostSpec,
): Promise<DiskFill> {
  const reported = (disk: FileSystem | undefined, whose: string): FileSystem => {
    if (disk === undefined) throw notPossible(host, `${whose} did not report its disk`);
    return disk;
  };
  const diskOf = async (of: HostSpec) =>
    reported(parseDisk(await ask(pool, of, observeDisk(quote(of.dir)))), of.name);
  const own = await diskOf(host);
  for (const other of spec.hosts.filter(({ name }) => name !== host.name)) {
    if (isSame(own, await diskOf(other))) {
      throw notPossible(host, `${host.dir} seems to be on the same disk as ${other.dir} of ${other.name}`);
    }
  }
  const { stdout } = await promisify(execFile)('sh', ['-c', observeDisk('/')]);
  if (isSame(own, reported(parseDisk(stdout), 'this worker')))
    throw notPossible(host, `${host.dir} seems to be on the disk of this worker`);
  return { kind: 'disk-fill', host: host.name, id: randomUUID(), forMs: fullMs };
}

const fillFile = (host: HostSpec, { id }: DiskFill) => `${host.dir}/disk-fill-${id}`;

/** Fills the disk, unless already done; the host frees it automatically. */
export async function fillDisk(pool: SshPool, host: HostSpec, fault: DiskFill): Promise<void> {
  const file = quote(fillFile(host, fault));
  await ask(
    pool,
    host,
    `${unlessMade(host, fault)}
${armTimer(host, fault, '', `rm -f ${file}`)}
# Opened once: what is written after the file was removed is freed when this script ends.
exec 3>>${file} || exit 1
! ${isMended(host, fault)} || { rm -f ${file}; exit 0; }
# At once what can be had at once, then what is left; a few files may have been freed meanwhile.
fallocate -l "$(df --output=avail -B1 ${quote(host.dir)} | tail -n 1)" /proc/self/fd/3 2>/dev/null
timeout 3 dd if=/dev/zero bs=64k oflag=append conv=notrunc >&3 2>/dev/null
timeout 1 dd if=/dev/zero bs=512 oflag=append conv=notrunc 2>&1 >&3 | grep -q 'No space left' ||
  { rm -f ${file}; echo 'the disk cannot be filled within seconds' >&2; exit 1; }`,
    fillMs,
  );
}

/** Waits until the host has freed the disk, then ensures it; prevents a late fill. */
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
