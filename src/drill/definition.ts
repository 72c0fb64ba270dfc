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
  | 'brick'
  /** A node that does not serve, and has a Jupyter. */
  | 'standby'
  /** A node with a Jupyter. */
  | 'kernel';

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

/** What a fault may do to a kernel. */
export type KernelFate =
  /** Nothing. */
  | 'kept'
  /** Its websockets may be cut, and what it prints meanwhile may be lost. It runs on. */
  | 'cut'
  /** It is killed, and Jupyter starts it again under its ID. */
  | 'restarted'
  /** It may end with its node. */
  | 'lost';

export interface DrillDefinition {
  readonly name: string;
  /** Human-readable: what is done. */
  readonly what: string;
  readonly target: TargetKind;
  readonly expects: Expectation;
  readonly mayFail: MayFail;
  /** What it may do to the kernels of its target, a node or a host; absent: nothing. */
  readonly kernels?: Exclude<KernelFate, 'kept'>;
  /** From the fault until everything it took down is back. */
  readonly budgetMs: { readonly warm: number; readonly cold: number };
  /** A timeout of the spec added to the budget, because nothing can happen before it expires. */
  readonly beginsAfter?: 'session' | 'agent-patience' | 'storage';
  /** `lab`: only possible from a worker in a lab; `network`: hosts with a network between them; `warm`: standbys with a Jupyter. */
  readonly needs: 'ssh' | 'lab' | 'lab or network' | 'network' | 'gluster' | 'warm';
}

/** Why this cluster cannot run a drill, as a sentence without its full stop; undefined when it can. */
export function refusalOf(
  { needs }: DrillDefinition,
  { hosts, jupyter, storage }: Pick<ClusterSpec, 'hosts' | 'jupyter' | 'storage'>,
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
    case 'warm':
      return jupyter.standby === 'warm' ? undefined : 'only the serving node has a Jupyter (standby: cold)';
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
