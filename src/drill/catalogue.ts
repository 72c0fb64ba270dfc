/** Every drill, as data. */
import type { ClusterSpec } from '../spec/cluster.js';

export const drillNames = [
  'node-kill',
  'node-kill-follower',
  'etcd-pause',
  'etcd-move',
  'jupyter-kill',
  'proxy-kill',
  'worker-kill',
  'zookeeper-kill-leader',
  'host-crash',
  'partition',
] as const;
export type DrillName = (typeof drillNames)[number];

/** What a drill is done to. */
export type TargetKind =
  'leader' | 'follower' | 'serving' | 'proxy' | 'host' | 'worker' | 'zookeeper-leader' | 'none';

/** What a fault changes, beside answers through the proxies; a drill waits for it. */
export type Expectation =
  /** etcd has another leader, or one of a higher term, and Jupyter is where it should be. */
  | 'leader-moves'
  | 'jupyter-back'
  | 'zookeeper-moves'
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
  /** `lab`: only a worker that runs in a lab can do it; `nobody`: see `reason`. */
  readonly needs: 'ssh' | 'lab' | 'nobody';
  readonly reason?: string;
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
    name: 'host-crash',
    what: 'a power cut: SIGKILL for everything on a host, then its boot',
    target: 'host',
    expects: 'jupyter-back',
    mayFail: 'all',
    budgetMs: { warm: 5_000, cold: 20_000 },
    needs: 'lab',
  },
  {
    name: 'partition',
    what: 'a host is cut off from the others',
    target: 'none',
    expects: 'leader-moves',
    mayFail: 'all',
    budgetMs: failover,
    needs: 'nobody',
    reason:
      'the hosts of a lab share one loopback interface, which has nothing between them that could be cut; ' +
      'etcd-pause and host-crash are its nearest relatives',
  },
];

export function findDrill(name: string): DrillDefinition | undefined {
  return catalogue.find((each) => each.name === name);
}

export function budgetOf({ budgetMs }: DrillDefinition, { jupyter }: Pick<ClusterSpec, 'jupyter'>): number {
  return budgetMs[jupyter.standby];
}
