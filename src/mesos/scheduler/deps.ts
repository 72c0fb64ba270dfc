import type { Logger } from 'pino';
import type { ClusterSpec } from '../../cluster/spec.js';
import type { Endpoint } from '../../ssh/connection.js';
import type { Observation } from '../../hosts/observation.js';
import type { FenceAnswer } from '../../node/fence.js';
import type { FenceFacts, FenceOutcome, PresumedTask } from '../fencing/fences.js';
import type { MesosFacts } from './framework-events.js';
import type { NodeCommand } from './launch.js';
import type { LeaderNews } from '../masters/leader-watch.js';
import type { Credential, MasterAddress } from '../masters/http.js';
import type { LaunchIntent, NodeTask, TaskTable, TaskUpdate } from './tasks.js';

/** What is stored of the framework, as far as a scheduler needs it. */
export interface StoredFramework extends TaskTable, FenceFacts {
  readonly frameworkId?: string;
  /** A node without data joins etcd; it never bootstraps it. */
  readonly etcdFormed: boolean;
  readonly missing?: string;
  readonly masters?: Readonly<Record<string, string>>;
  readonly mesos?: MesosFacts;
}

/**
 * Where a framework's state outlives its schedulers. Every method resolves after the state is stored, waits as
 * long as the store cannot be reached, and throws SCHEDULER_REPLACED when another scheduler has taken over.
 */
export interface FrameworkStore {
  /** Become the scheduler, or make sure that this still is it. Writes only when it was not. */
  claim(): Promise<StoredFramework>;
  /** The newest state. Writes nothing. */
  load(): Promise<StoredFramework>;
  storeFrameworkId(frameworkId: string, found: readonly NodeTask[]): Promise<void>;
  /** @throws PerijoveError INTENT_REJECTED when a node has another task that may live */
  storeIntents(intents: readonly LaunchIntent[]): Promise<StoredFramework>;
  storeTaskUpdates(updates: readonly TaskUpdate[]): Promise<void>;
  /** Gives tasks up that may be lost, or notes that one given up before has ended. */
  storeFencing(outcomes: readonly FenceOutcome[]): Promise<StoredFramework>;
  /** Stores that a task is about to leave etcd: from then on it is killed in any case. */
  storeRetiring(taskId: string): Promise<StoredFramework>;
  storeMissing(missing: string | null): Promise<void>;
  /** By host, what is wrong with a master. */
  storeMasters(masters: Readonly<Record<string, string>>): Promise<void>;
  /** What people are told of Mesos. */
  storeMesos(sight: MesosFacts): Promise<void>;
}

/** Whether a node can do without what it had; `why` not is a sentence without its full stop. */
export type Leave = { readonly kind: 'done' } | { readonly kind: 'waits'; readonly why: string };

export interface SchedulerDeps {
  readonly spec: ClusterSpec;
  readonly store: FrameworkStore;
  readonly leaders: (signal: AbortSignal) => AsyncIterable<LeaderNews>;
  readonly dial: (master: MasterAddress) => Promise<Endpoint>;
  readonly credential?: Credential;
  /** The credential as the hosts have it by now; asked for when a master refuses the one above. */
  readonly renewed?: () => Promise<Credential | undefined>;
  /** The command of a node on a host of the spec, by name. */
  readonly command: (
    node: string,
    host: string,
    facts: { readonly etcdFormed: boolean; readonly taskId: string },
  ) => NodeCommand;
  /** Digest of the configuration that the spec gives a node on a host. */
  readonly configOf: (node: string, host: string) => string;
  /**
   * Whether a node takes part in etcd; not known when it could not be asked. With `host`, the name of the one that it
   * is on, it is asked through that one: only there does its silence say something of the node.
   */
  readonly healthy: (node: string, host?: string) => Promise<Observation<boolean>>;
  /**
   * Brings Jupyter and etcd's leadership to another node, where this one has them. With `leaves`, resolves to
   * `done` only when the member may leave etcd, too.
   */
  readonly vacate: (node: string, leaves: boolean) => Promise<Leave>;
  /** Has the member of a node leave etcd for good; the node does not join again in this life. */
  readonly retire: (task: Pick<NodeTask, 'node' | 'taskId'>) => Promise<Leave>;
  /** Has the host end everything of a task, whatever Mesos knows of it. */
  readonly fence: (task: PresumedTask) => Promise<FenceAnswer>;
  /** Absent: ride out whatever happens, for as long as it takes. */
  readonly handOver?: HandOver;
  readonly logger: Logger;
}

/** When a scheduler leaves its place to one on another worker, which may reach what this one does not. */
export interface HandOver {
  /** After so many questions in a row that the leading master did not answer. */
  readonly afterUnanswered: number;
  /** Called with each subscription. */
  readonly subscribed: () => void;
}
