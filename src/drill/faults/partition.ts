import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterSpec, HostSpec } from '../../cluster/spec.js';
import { formatDuration } from '../../cluster/units.js';
import type { SshPool } from '../../ssh/connection.js';
import { quote } from '../../ssh/shell.js';
import {
  armTimer,
  ask,
  askUntilAnswered,
  markMade,
  markMended,
  neglectedMs,
  noticeSeconds,
  notPossible,
  unlessMade,
} from './asking.js';
import type { DrillOf, FaultKind } from './kind.js';
import { hostNamed } from './reaching.js';

/** Cuts a host off from others. */
export interface Partition {
  readonly kind: 'partition';
  readonly host: string;
  /** Unique to this partition: a healed one is not injected again. */
  readonly id: string;
  /** The interface that carries the host's address. */
  readonly device: string;
  /** Addresses it is cut off from; absent: all. */
  readonly peers?: readonly string[];
  /** After this the host heals it automatically. */
  readonly forMs: number;
}

/** Longer than a proxy or a node needs to fail over, shorter than a master's patience with a silent agent. */
const isolatedMs = 20_000;
/** Each partition has a chain to itself: the timer of an earlier one heals nothing of a later one. */
const chainOf = ({ id }: Partition) => `PERIJOVE-DRILL-${id.slice(0, 8)}`;

export const partitionDrills = [
  {
    name: 'partition',
    what: 'a host is cut off from everything, including SSH and users, for 20 s',
    target: 'host',
    expects: 'jupyter-back',
    mayFail: 'all',
    kernels: 'lost',
    budgetMs: { warm: 5_000, cold: 20_000 },
    beginsAfter: 'storage',
    needs: 'network',
    plan: (deps, _roles, target) => planPartition(deps, hostNamed(deps.spec, target), 'all'),
  },
  {
    name: 'partition-peers',
    what: 'a host is cut off from the other hosts; SSH and users can still reach it',
    target: 'host',
    expects: 'jupyter-back',
    mayFail: 'all',
    kernels: 'lost',
    budgetMs: { warm: 5_000, cold: 20_000 },
    beginsAfter: 'storage',
    needs: 'network',
    plan: (deps, _roles, target) => planPartition(deps, hostNamed(deps.spec, target), 'peers'),
  },
] as const satisfies readonly DrillOf<Partition>[];

export const partition: FaultKind<Partition> = {
  kind: 'partition',
  inject: ({ pool, spec }, fault) => cutOff(pool, hostNamed(spec, fault.host), fault),
  heal: ({ pool, spec }, fault) => mend(pool, hostNamed(spec, fault.host), fault),
  injected: ({ host, peers, forMs }) =>
    peers === undefined
      ? `${host} is cut off from everything for ${formatDuration(forMs)}`
      : `${host} is cut off from ${peers.join(', ')}`,
  healed: ({ host }) => `${host} is reachable again`,
  downHost: ({ host }) => host,
};

/** @throws PerijoveError DRILL_NOT_POSSIBLE, SSH_* */
export async function planPartition(
  { pool, spec }: { readonly pool: SshPool; readonly spec: Pick<ClusterSpec, 'hosts'> },
  host: HostSpec,
  from: 'all' | 'peers',
): Promise<Partition> {
  const device = await ask(
    pool,
    host,
    `[ "$(id -u)" = 0 ] || { echo 'only root can cut the host off' >&2; exit 1; }
command -v iptables >/dev/null || { echo 'iptables is not installed' >&2; exit 1; }
ip -o -4 addr show to ${host.address} | awk 'NR == 1 { print $2 }'`,
  );
  if (device === '') throw notPossible(host, `no interface has the address ${host.address}`);
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

/**
 * Removes whichever of the rules exist; fails unless iptables confirms that none is left. Repeats that: the timer may
 * be about to insert them, and then removes them itself.
 */
const mendScript = (fault: Partition) => {
  const chain = chainOf(fault);
  return `
mend() {
  mend_once 2>/dev/null || { sleep ${noticeSeconds}; mend_once 2>/dev/null; } || { sleep 1; mend_once; }
}
mend_once() {
  for hook in INPUT OUTPUT FORWARD; do
    while iptables -w -D $hook -j ${chain} 2>/dev/null; do :; done
  done
  iptables -w -F ${chain} 2>/dev/null
  iptables -w -X ${chain} 2>/dev/null
  rules=$(iptables -w -S) || { echo 'iptables did not list the remaining rules' >&2; return 1; }
  case $rules in
  *${chain}*) echo 'the rules of the partition are still in place' >&2; return 1 ;;
  *'-P INPUT '*) ;;
  *) echo 'iptables listed no rules at all' >&2; return 1 ;;
  esac
}`;
};

/** Prepares all rules and arms the healing timer; one rule per direction then cuts the host off. */
function cutScript(host: HostSpec, fault: Partition): string {
  const { device, peers } = fault;
  const chain = chainOf(fault);
  const rules =
    peers === undefined
      ? [`-i ${quote(device)}`, `-o ${quote(device)}`]
      : peers.flatMap((peer) => [`-s ${peer}`, `-d ${peer}`]);
  const cut = `${mendScript(fault)}
sleep ${noticeSeconds}
for hook in INPUT OUTPUT FORWARD; do iptables -w -I $hook -j ${chain}; done`;
  return `${mendScript(fault)}
${unlessMade(host, fault)}
mend || exit 1
iptables -w -N ${chain} || exit 1
${rules.map((rule) => `iptables -w -A ${chain} ${rule} -j DROP || exit 1`).join('\n')}
${armTimer(host, fault, cut, 'until mend; do sleep 1; done')}`;
}

/** Cuts the host off, unless already done. The host heals the partition automatically. */
export async function cutOff(pool: SshPool, host: HostSpec, fault: Partition): Promise<void> {
  await ask(pool, host, cutScript(host, fault));
  await delay(noticeSeconds * 1_000);
}

/** Heals the partition once the host is reachable; prevents a late injection. */
export async function mend(pool: SshPool, host: HostSpec, fault: Partition): Promise<void> {
  const script = `${mendScript(fault)}
${markMade(host, fault)} && mend && ${markMended(host, fault)}`;
  await askUntilAnswered(pool, host, script, neglectedMs);
}
