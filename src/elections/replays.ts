/** The elections of a cluster, from the logs of its members: pure. */
import { hostsWithRole, nodeAddress, nodeNames, type ClusterSpec } from '../cluster/spec.js';
import { serverId } from '../zookeeper/items.js';
import type { ElectionKind, ElectionLogs } from './gather.js';
import type { Unknown } from './member-log.js';
import { replayMasters, type MasterElection } from './paxos.js';
import { replayRaft, type RaftElection } from './raft.js';
import { replayEnsemble, type EnsembleElection } from './zookeeper.js';

export interface Replays {
  /** Oldest first, in the order of terms. */
  readonly etcd: readonly RaftElection[];
  readonly mesos: readonly MasterElection[];
  readonly zookeeper: readonly EnsembleElection[];
  /** Members whose log is not known at all. */
  readonly unknown: Readonly<Record<ElectionKind, readonly Unknown[]>>;
}

/** @param last how many elections of each kind, the newest ones */
export function replaysOf(spec: ClusterSpec, logs: ElectionLogs, last = Infinity): Replays {
  const nodes = new Map(nodeNames(spec).map((name, index) => [name, nodeAddress(spec, index)]));
  const masters = new Map(
    hostsWithRole(spec, 'master').map(({ name, address, ports }) => [`${address}:${ports.master}`, name]),
  );
  const servers = hostsWithRole(spec, 'zookeeper').map((host) => ({
    ...{ id: serverId(spec, host), member: host.name, address: host.address },
  }));
  const newest = <T>(elections: readonly T[]) => elections.slice(Math.max(0, elections.length - last));
  return {
    etcd: newest(replayRaft(logs.etcd, nodes).elections),
    mesos: newest(replayMasters(logs.mesos, masters)),
    zookeeper: newest(replayEnsemble(logs.zookeeper, servers)),
    unknown: {
      etcd: silent(logs, 'etcd'),
      mesos: silent(logs, 'mesos'),
      zookeeper: silent(logs, 'zookeeper'),
    },
  };
}

function silent(logs: ElectionLogs, kind: ElectionKind): Unknown[] {
  return logs[kind].flatMap(({ member, log }) => (log.known ? [] : [{ member, why: log.why }]));
}
