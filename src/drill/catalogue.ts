/** Every drill, as data. */
import { isLoopback } from '../cluster/addresses.js';
import { agentPatienceMs, type ClusterSpec } from '../cluster/spec.js';

export const drillNames = [
  'node-kill',
  'node-kill-follower',
  'etcd-pause',
  'etcd-move',
  'jupyter-kill',
  'proxy-kill',
  'worker-kill',
  'zookeeper-kill-leader',
  'master-suspend',
  'master-kill',
  'agent-kill',
  'agent-stop',
  'host-crash',
  'partition',
  'partition-peers',
  'disk-full',
  'gluster-brick-down',
] as const;
export type DrillName = (typeof drillNames)[number];

/** What a drill is done to. */
export type TargetKind =
  | 'leader'
  | 'follower'
  | 'serving'
  | 'proxy'
  | 'host'
  | 'worker'
  | 'zookeeper-leader'
  | 'master-leader'
  | 'agent'
  | 'brick'
  | 'none';

/** What a fault changes, beside answers through the proxies; a drill waits for it. */
export type Expectation =
  /** etcd has another leader, or one of a higher term, and Jupyter is where it should be. */
  | 'leader-moves'
  | 'jupyter-back'
  | 'zookeeper-moves'
  /** Another Mesos master leads, with all agents and the framework. */
  | 'master-moves'
  /** The agent is registered again. */
  | 'agent-back'
  /** The master calls the tasks of the agent unreachable, and nobody ends them. */
  | 'agent-unreachable'
  /** Another worker holds what the dead one held. */
  | 'worker-moves';

/** Through which hosts requests may fail meanwhile. */
export type MayFail = 'all' | 'target' | 'none';

export interface DrillDefinition {
  readonly name: DrillName;
  /** For people: what is done. */
  readonly what: string;
  readonly target: TargetKind;
  readonly expects: Expectation;
  readonly mayFail: MayFail;
  /** From the fault until all is back that it took away. */
  readonly budgetMs: { readonly warm: number; readonly cold: number };
  /** What a time of the spec adds to the budget, because nothing can happen before it is over. */
  readonly beginsAfter?: 'session' | 'agent-patience' | 'storage';
  /** `lab`: only a worker that runs in a lab can do it; `network`: hosts with a network between them. */
  readonly needs: 'ssh' | 'lab' | 'lab or network' | 'network' | 'gluster';
}

const failover = { warm: 3_000, cold: 15_000 };

export const catalogue: readonly DrillDefinition[] = [
  {
    name: 'node-kill',
    what: "SIGKILL for every process of the node that leads etcd; Jupyter's users are on it",
    target: 'leader',
    expects: 'leader-moves',
    mayFail: 'all',
    budgetMs: failover,
    needs: 'ssh',
  },
  {
    name: 'node-kill-follower',
    what: 'SIGKILL for every process of a node that follows',
    target: 'follower',
    expects: 'jupyter-back',
    mayFail: 'none',
    budgetMs: { warm: 1_000, cold: 1_000 },
    needs: 'ssh',
  },
  {
    name: 'etcd-pause',
    what: 'SIGSTOP for the leading etcd: it says nothing, and does not know that it leads no more',
    target: 'leader',
    expects: 'leader-moves',
    mayFail: 'all',
    budgetMs: { warm: 5_000, cold: 15_000 },
    needs: 'ssh',
  },
  {
    name: 'etcd-move',
    what: "etcd's leadership is handed to another member (MoveLeader)",
    target: 'follower',
    expects: 'leader-moves',
    mayFail: 'all',
    budgetMs: failover,
    needs: 'ssh',
  },
  {
    name: 'jupyter-kill',
    what: 'SIGKILL for the Jupyter that serves',
    target: 'serving',
    expects: 'jupyter-back',
    mayFail: 'all',
    budgetMs: { warm: 15_000, cold: 15_000 },
    needs: 'ssh',
  },
  {
    name: 'proxy-kill',
    what: "SIGKILL for one host's proxy",
    target: 'proxy',
    expects: 'jupyter-back',
    mayFail: 'target',
    budgetMs: { warm: 5_000, cold: 5_000 },
    needs: 'ssh',
  },
  {
    name: 'worker-kill',
    what: 'SIGKILL for the worker that holds the scheduler of the framework, or the watch of the keeper',
    target: 'worker',
    expects: 'worker-moves',
    mayFail: 'none',
    budgetMs: { warm: 10_000, cold: 10_000 },
    needs: 'lab',
  },
  {
    name: 'zookeeper-kill-leader',
    what: 'SIGKILL for the ZooKeeper server that leads',
    target: 'zookeeper-leader',
    expects: 'zookeeper-moves',
    mayFail: 'none',
    budgetMs: { warm: 10_000, cold: 10_000 },
    needs: 'ssh',
  },
  {
    name: 'master-suspend',
    what:
      'SIGSTOP for the leading Mesos master; another one leads; healed by SIGCONT: the old one notices, ' +
      'ends, and follows when its supervisor has started it again',
    target: 'master-leader',
    expects: 'master-moves',
    mayFail: 'none',
    budgetMs: { warm: 10_000, cold: 10_000 },
    beginsAfter: 'session',
    needs: 'ssh',
  },
  {
    name: 'master-kill',
    what: 'SIGKILL for the leading Mesos master',
    target: 'master-leader',
    expects: 'master-moves',
    mayFail: 'none',
    budgetMs: { warm: 10_000, cold: 10_000 },
    beginsAfter: 'session',
    needs: 'ssh',
  },
  {
    name: 'agent-kill',
    what: 'SIGKILL for a Mesos agent; its tasks go on, and its successor finds them by its checkpoints',
    target: 'agent',
    expects: 'agent-back',
    mayFail: 'none',
    budgetMs: { warm: 15_000, cold: 15_000 },
    needs: 'ssh',
  },
  {
    name: 'agent-stop',
    what:
      'a Mesos agent is stopped until the master gives it up; its tasks go on, fencing leaves them alone, ' +
      'and the agent finds them when it is started',
    target: 'agent',
    expects: 'agent-unreachable',
    mayFail: 'none',
    budgetMs: { warm: 10_000, cold: 10_000 },
    beginsAfter: 'agent-patience',
    needs: 'ssh',
  },
  {
    name: 'host-crash',
    what: 'a power cut: everything on a host ends at once, and nothing is tidied up; then it boots',
    target: 'host',
    expects: 'jupyter-back',
    mayFail: 'all',
    budgetMs: { warm: 5_000, cold: 20_000 },
    beginsAfter: 'storage',
    needs: 'lab or network',
  },
  {
    name: 'partition',
    what: 'a host is cut off from everybody, from SSH and its users too, for 20 s',
    target: 'host',
    expects: 'jupyter-back',
    mayFail: 'all',
    budgetMs: { warm: 5_000, cold: 20_000 },
    beginsAfter: 'storage',
    needs: 'network',
  },
  {
    name: 'partition-peers',
    what: 'a host is cut off from the other hosts; SSH and its users still reach it',
    target: 'host',
    expects: 'jupyter-back',
    mayFail: 'all',
    budgetMs: { warm: 5_000, cold: 20_000 },
    beginsAfter: 'storage',
    needs: 'network',
  },
  {
    name: 'disk-full',
    what: 'the file system of a host that has all of the cluster in it is full to the last byte for 20 s',
    target: 'host',
    expects: 'jupyter-back',
    mayFail: 'all',
    budgetMs: { warm: 5_000, cold: 20_000 },
    needs: 'network',
  },
  {
    name: 'gluster-brick-down',
    what: 'SIGKILL for a brick of the GlusterFS volume; what is written meanwhile is healed when it is back',
    target: 'brick',
    expects: 'jupyter-back',
    mayFail: 'none',
    budgetMs: { warm: 5_000, cold: 5_000 },
    needs: 'gluster',
  },
];

export function findDrill(name: string): DrillDefinition | undefined {
  return catalogue.find((each) => each.name === name);
}

/** Why a drill cannot be done to this cluster, as a sentence without its full stop; undefined when it can. */
export function refusalOf(
  { needs }: DrillDefinition,
  { hosts, storage }: Pick<ClusterSpec, 'hosts' | 'storage'>,
  inLab: boolean,
): string | undefined {
  const isApart = hosts.every(({ address }) => !isLoopback(address));
  switch (needs) {
    case 'ssh':
      return undefined;
    case 'lab':
      return inLab ? undefined : 'it can be done in a lab alone';
    case 'lab or network':
      return inLab || isApart ? undefined : 'the hosts share one machine';
    case 'network':
      return isApart
        ? undefined
        : 'the hosts share one machine: its disk, and a loopback interface with nothing that could be cut';
    case 'gluster':
      return storage.kind === 'gluster' ? undefined : 'notebooks do not lie on a GlusterFS volume';
  }
}

export function budgetOf(
  { budgetMs, beginsAfter }: DrillDefinition,
  { jupyter, mesos, storage }: Pick<ClusterSpec, 'jupyter' | 'mesos' | 'storage'>,
): number {
  const waits = {
    session: mesos.sessionTimeoutMs,
    // Jupyter hangs until the brick of a silent host is given up.
    storage: storage.kind === 'gluster' ? 2 * storage.pingTimeoutMs : 0,
    // Pings are counted between two of them.
    'agent-patience': agentPatienceMs(mesos) + mesos.agentPingTimeoutMs,
  };
  return budgetMs[jupyter.standby] + (beginsAfter === undefined ? 0 : waits[beginsAfter]);
}
