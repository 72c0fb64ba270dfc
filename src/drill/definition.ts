/** Definition of a drill: whether a cluster can run it, and its budget. Pure. */
import { isLoopback } from '../cluster/addresses.js';
import { agentPatienceMs, type ClusterSpec } from '../cluster/spec.js';

/** What a drill targets. */
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
  | 'brick';

/** What a fault changes besides answers through the proxies; a drill waits for it. */
export type Expectation =
  /** etcd has another leader, or one of a higher term, and Jupyter runs where it should. */
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

/** Hosts through which requests may fail meanwhile. */
export type MayFail = 'all' | 'target' | 'none';

export interface DrillDefinition {
  readonly name: string;
  /** Human-readable: what is done. */
  readonly what: string;
  readonly target: TargetKind;
  readonly expects: Expectation;
  readonly mayFail: MayFail;
  /** From the fault until everything it took down is back. */
  readonly budgetMs: { readonly warm: number; readonly cold: number };
  /** A timeout of the spec added to the budget, because nothing can happen before it expires. */
  readonly beginsAfter?: 'session' | 'agent-patience' | 'storage';
  /** `lab`: only possible from a worker in a lab; `network`: hosts with a network between them. */
  readonly needs: 'ssh' | 'lab' | 'lab or network' | 'network' | 'gluster';
}

/** Why this cluster cannot run a drill, as a sentence without its full stop; undefined when it can. */
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
      return inLab ? undefined : 'it is only possible in a lab';
    case 'lab or network':
      return inLab || isApart ? undefined : 'the hosts share one machine';
    case 'network':
      return isApart
        ? undefined
        : 'the hosts share one machine: one disk, and a loopback interface that cannot be cut';
    case 'gluster':
      return storage.kind === 'gluster' ? undefined : 'notebooks are not on a GlusterFS volume';
  }
}

export function budgetOf(
  { budgetMs, beginsAfter }: DrillDefinition,
  { jupyter, mesos, storage }: Pick<ClusterSpec, 'jupyter' | 'mesos' | 'storage'>,
): number {
  const waits = {
    session: mesos.sessionTimeoutMs,
    // Jupyter hangs until the brick of a silent host is declared dead.
    storage: storage.kind === 'gluster' ? 2 * storage.pingTimeoutMs : 0,
    // A missed ping is counted only at the next one.
    'agent-patience': agentPatienceMs(mesos) + mesos.agentPingTimeoutMs,
  };
  return budgetMs[jupyter.standby] + (beginsAfter === undefined ? 0 : waits[beginsAfter]);
}

/** Downtime users notice when Jupyter moves to another node. */
export const failover = { warm: 3_000, cold: 15_000 };
