import type { Logger } from 'pino';
import type { ClusterSpec } from '../../cluster/spec.js';
import type { Endpoint } from '../../ssh/connection.js';
import type { Observation } from '../../hosts/observation.js';
import type { FenceAnswer } from '../../node/fence.js';
import type { FenceFacts, FenceOutcome, PresumedTask } from '../fencing/fences.js';
import type { MesosFacts } from './framework-events.js';
import type { CordonFacts } from './cordons.js';
import type { NodeCommand } from './launch.js';
import type { LeaderNews } from '../masters/leader-watch.js';
import type { Credential, MasterAddress } from '../masters/http.js';
import type { LaunchIntent, NodeTask, TaskTable, TaskUpdate } from './tasks.js';

/** The stored state of the framework, as far as a scheduler needs it. */
export interface StoredFramework extends TaskTable, FenceFacts, CordonFacts {
  readonly frameworkId?: string;
  /** A node without data joins etcd; it never bootstraps it. */
  readonly etcdFormed: boolean;
  /** The epoch of etcd, after a recovery. */
  readonly etcdEpoch?: number;
  readonly missing?: string;
  readonly masters?: Readonly<Record<string, string>>;
  readonly mesos?: MesosFacts;
}

/**
 * Persists a framework's state across schedulers. Every method resolves once the state is stored, waits as
 * long as the store is unreachable, and throws SCHEDULER_REPLACED when another scheduler has taken over.
 */
export interface FrameworkStore {
  /** Becomes the scheduler, or confirms that this still is the scheduler. Writes only on a change. */
  claim(): Promise<StoredFramework>;
  /** The latest state. Writes nothing. */
  load(): Promise<StoredFramework>;
  storeFrameworkId(frameworkId: string, found: readonly NodeTask[]): Promise<void>;
  /** @throws PerijoveError INTENT_REJECTED when a node has another task that may live */
  storeIntents(intents: readonly LaunchIntent[]): Promise<StoredFramework>;
  storeTaskUpdates(updates: readonly TaskUpdate[]): Promise<void>;
  /** Gives up tasks that may be lost, or records that a task given up earlier has ended. */
  storeFencing(outcomes: readonly FenceOutcome[]): Promise<StoredFramework>;
  /** Stores that a task is about to leave etcd. From then on it is killed in any case. */
  storeRetiring(taskId: string): Promise<StoredFramework>;
  storeMissing(missing: string | null): Promise<void>;
  /** By host, what is wrong with its master. */
  storeMasters(masters: Readonly<Record<string, string>>): Promise<void>;
  /** What `status` shows of Mesos. */
  storeMesos(observed: MesosFacts): Promise<void>;
}

/** Whether a node can be stopped now; `why` it cannot is a sentence without its full stop. */
export type Leave =
  | { readonly kind: 'done' }
  | {
      readonly kind: 'waits';
      readonly why: string;
      /** A move was ordered, and did not succeed. */
      readonly moveFailed?: true;
    };

export interface LaunchFacts {
  readonly etcdFormed: boolean;
  readonly etcdEpoch?: number;
  readonly taskId: string;
}

export interface SchedulerDeps {
  readonly spec: ClusterSpec;
  readonly store: FrameworkStore;
  readonly leaders: (signal: AbortSignal) => AsyncIterable<LeaderNews>;
  readonly dial: (master: MasterAddress) => Promise<Endpoint>;
  readonly credential?: Credential;
  /** The credential that the hosts have now; requested when a master refuses the one above. */
  readonly renewed?: () => Promise<Credential | undefined>;
  /** The command of a node on a host, given by its name in the spec. */
  readonly command: (node: string, host: string, facts: LaunchFacts) => NodeCommand;
  /** Digest of the configuration that the spec gives the node on that host. */
  readonly configOf: (node: string, host: string) => string;
  /**
   * Whether a node takes part in etcd; unknown when it could not be asked. With `host`, the name of the host
   * it runs on, the request goes through that host: only then does its silence say something about the node.
   */
  readonly healthy: (node: string, host?: string) => Promise<Observation<boolean>>;
  /**
   * Moves Jupyter and etcd's leadership to another node if this one has them. With `leaves`, resolves to
   * `done` only when the member may also leave etcd.
   */
  readonly vacate: (node: string, leaves: boolean) => Promise<Leave>;
  /** Removes the node's member from etcd for good; the node does not join again in this life. */
  readonly retire: (task: Pick<NodeTask, 'node' | 'taskId'>) => Promise<Leave>;
  /** Makes the host end every process of a task, whatever Mesos knows about it. */
  readonly fence: (task: PresumedTask) => Promise<FenceAnswer>;
  /** Absent: retry for as long as it takes. */
  readonly handOver?: HandOver;
  readonly logger: Logger;
}

/** When a scheduler hands over to one on another worker, which may reach what this one cannot. */
export interface HandOver {
  /** After this many consecutive requests without a response from the leading master. */
  readonly afterUnanswered: number;
  /** Called with each subscription. */
  readonly subscribed: () => void;
}
