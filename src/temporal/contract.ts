/**
 * What clients, workers and workflows of Perijove agree on: workflow names and IDs, messages and their
 * plain-JSON data. The one module that all sides import; it imports only types.
 */
import { defineQuery, defineUpdate } from '@temporalio/workflow';
import type { ErrorCode } from '../errors/codes.js';
import type { StageName } from '../deployment/stages.js';
import type { DrillName } from '../drill/faults/index.js';
import type { Evidence } from '../drill/evidence.js';
import type { Change } from '../hosts/items.js';
import type { FenceFacts, FenceOutcome } from '../mesos/fencing/fences.js';
import type { ForgottenFacts } from '../mesos/fencing/forgotten.js';
import type { CordonFacts } from '../mesos/scheduler/cordons.js';
import type { FrameworkHistory, MesosFacts } from '../mesos/scheduler/framework-events.js';
import type { LaunchIntent, NodeTask, TaskTable, TaskUpdate } from '../mesos/scheduler/tasks.js';
import type { KeeperState, Incident, MoveResult } from '../keeper/state.js';
import type { HostKeys } from '../cluster/host-keys.js';
import type { ClusterIdentity } from '../cluster/identity.js';
import type { ClusterSpec } from '../cluster/spec.js';
import type { RecoveryPlan } from '../etcd/recovery.js';
import type { NodeMemory } from '../node/memory.js';
import type { NodePlan } from '../node/plan.js';

export const taskQueue = 'perijove';

export const workflowNames = {
  deploy: 'deploy',
  host: 'host',
  framework: 'framework',
  keeper: 'keeper',
  teardown: 'teardown',
  drill: 'drill',
  recovery: 'recovery',
  notify: 'notify',
} as const;

/** What the IDs of a cluster's drills begin with; the number follows. */
export const drillPrefix = (cluster: string) => `drill:${cluster}/`;

export const workflowIds = {
  deploy: (cluster: string) => `deploy:${cluster}`,
  host: (cluster: string, host: string) => `host:${cluster}/${host}`,
  framework: (cluster: string) => `framework:${cluster}`,
  keeper: (cluster: string) => `keeper:${cluster}`,
  teardown: (cluster: string) => `teardown:${cluster}`,
  drill: (cluster: string, number: number) => `${drillPrefix(cluster)}${number}`,
  recovery: (cluster: string) => `recovery:${cluster}`,
  notify: (cluster: string, notice: string) => `notify:${cluster}/${notice}`,
} as const;

export type WorkflowName = keyof typeof workflowNames;

/** Search attributes, of type Keyword. */
export const searchAttributes = { cluster: 'PerijoveCluster', stage: 'PerijoveStage' } as const;

/** Memo keys: the last state, readable while no worker runs. */
export const memoKeys = {
  state: 'perijoveState',
  purge: 'perijovePurge',
  /** Of a deployment for `secrets rotate`: the names of the secrets. */
  rotates: 'perijoveRotates',
  /** Of the framework: the hosts of the cluster as it was last deployed, with their SSH coordinates. */
  hosts: 'perijoveHosts',
  /** Of the framework and the keeper: a `ClusterIdentity`. */
  identity: 'perijoveIdentity',
} as const;

// --- deploy ---------------------------------------------------------------------------------------------

export interface DeployInput {
  readonly spec: ClusterSpec;
  /** SHA-256 of the canonical JSON of `spec`, without keys of hosts; absent: the workflow computes it. */
  readonly digest?: string;
  /** The keys of hosts that the command line has seen, for those of which the spec has none. */
  readonly seen?: HostKeys;
  /** Remove data, secrets and logs of hosts that the spec no longer contains. */
  readonly purgeRemoved?: boolean;
}

export type StageState = 'waiting' | 'running' | 'done' | 'failed';

export interface StageProgress {
  readonly name: StageName;
  readonly state: StageState;
  /** Number of changes made. */
  readonly changed: number;
  /** The changes, in the query's response; the memo has only their number. */
  readonly changes: readonly Change[];
  readonly ms: number;
  /** Why nothing had to be done, or what it waits for. */
  readonly note?: string;
  /** What a stage that only verifies has proved. */
  readonly proof?: string;
}

export interface DeployProgress {
  readonly cluster: string;
  readonly digest: string;
  readonly stages: readonly StageProgress[];
  readonly failure?: {
    readonly code: string;
    readonly message: string;
    readonly remedy: string;
    readonly host?: string;
  };
}

export interface DeployResult {
  readonly cluster: string;
  readonly changed: number;
  readonly stages: readonly { readonly name: StageName; readonly changed: number; readonly ms: number }[];
}

/** Attach to a running deploy; refused with `SPEC_DIFFERS` when it deploys another spec. */
export const attachDeploy = defineUpdate<{ readonly digest: string }, [digest: string]>('attach');
export const deployProgress = defineQuery<DeployProgress>('progress');

// --- host -----------------------------------------------------------------------------------------------

export interface HostInput {
  /** The cluster as this host needs to know it. */
  readonly spec: ClusterSpec;
  /** Name of the host. */
  readonly host: string;
}

// --- framework ------------------------------------------------------------------------------------------

export interface FrameworkInput {
  readonly spec: ClusterSpec;
  /** What the hosts have kept from an earlier framework of the cluster. */
  readonly remembered?: NodeMemory;
  /** From the previous run. */
  readonly identity?: ClusterIdentity;
  /** From the previous run. */
  readonly state?: FrameworkState;
}

export type { LaunchIntent, NodeTask, TaskState, TaskUpdate } from '../mesos/scheduler/tasks.js';

/** Which attempt of the scheduler activity may write: a higher (run, attempt) takes over from a lower one. */
export interface SchedulerLease {
  /** Increases with each start of the activity by the workflow. */
  readonly run: number;
  /** Temporal's number of the attempt. */
  readonly attempt: number;
}

export interface FrameworkFailure {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

export type { FrameworkEvent, MesosFacts, PastTask } from '../mesos/scheduler/framework-events.js';

export interface FrameworkState extends TaskTable, FenceFacts, CordonFacts, ForgottenFacts, FrameworkHistory {
  readonly frameworkId?: string;
  /** etcd has been complete once: a node without data joins, and never bootstraps. */
  readonly etcdFormed: boolean;
  /** The epoch of etcd, after a recovery: nodes set data of an earlier one aside. */
  readonly etcdEpoch?: number;
  /** The nodes as `up` wants them; undefined if an earlier release was the last to deploy. */
  readonly plan?: NodePlan;
  /** Which worker runs the scheduler: `pid@host`. */
  readonly scheduler?: string;
  readonly lease?: SchedulerLease;
  /** Which master leads and which agents are registered, as last observed by the scheduler. */
  readonly mesos?: MesosFacts;
  /** What it waits for: why nodes could not be placed, why no master leads, … */
  readonly missing?: string;
  /** By host: what is wrong with its Mesos master, and why it is not repaired. */
  readonly masters?: Readonly<Record<string, string>>;
  /** The scheduler has given up until the next `configure`. */
  readonly failure?: FrameworkFailure;
}

/**
 * `started`: the first time; `changed`: another spec, or after a failure; `unchanged`: nothing to do; `restarted`, by
 * the activity: from the stored state of a run that could not be replayed.
 */
export type ConfigureResult = 'started' | 'changed' | 'unchanged' | 'restarted';
/**
 * Apply a (new) spec and a plan of the nodes; idempotent. Restarts the scheduler when either differs, or when it had
 * given up. Rejected (CLUSTER_NAME_TAKEN) when it has the ID of another cluster; a new ID alone restarts nothing.
 */
export const configureFramework = defineUpdate<
  ConfigureResult,
  [spec: ClusterSpec, plan?: NodePlan | undefined, identity?: ClusterIdentity | undefined]
>('configure');

/** Become the scheduler. Rejected (SCHEDULER_REPLACED) when a later attempt already is. */
export const claimScheduler = defineUpdate<FrameworkState, [lease: SchedulerLease, worker: string]>(
  'claimScheduler',
);
/**
 * Store the framework ID; must be stored before the first launch. Includes the framework's tasks in Mesos if
 * its ID was found there and not here.
 */
export const storeFrameworkId = defineUpdate<
  void,
  [lease: SchedulerLease, frameworkId: string, found: readonly NodeTask[]]
>('storeFrameworkId');
/**
 * Store intents; must be stored before the ACCEPT that carries them. Rejected (INTENT_REJECTED) when a node
 * has another task that may live. Resolves to the state that includes them.
 */
export const storeIntents = defineUpdate<
  FrameworkState,
  [lease: SchedulerLease, intents: readonly LaunchIntent[]]
>('storeIntents');
/** Store task states; must be stored before the updates are acknowledged. */
export const storeTaskUpdates = defineUpdate<void, [lease: SchedulerLease, updates: readonly TaskUpdate[]]>(
  'storeTaskUpdates',
);
/** Give up tasks that may be lost. Resolves to the state without them. */
export const storeFencing = defineUpdate<
  FrameworkState,
  [lease: SchedulerLease, outcomes: readonly FenceOutcome[]]
>('storeFencing');
/** A task is about to leave etcd: it is killed in any case. Resolves to the state that includes this. */
export const storeRetiring = defineUpdate<FrameworkState, [lease: SchedulerLease, taskId: string]>(
  'storeRetiring',
);
/** What it waits for, for operators; null when nothing. */
export const storeMissing = defineUpdate<void, [lease: SchedulerLease, missing: string | null]>(
  'storeMissing',
);
/** Which masters have which problem, for operators; empty when none has. */
export const storeMasters = defineUpdate<
  void,
  [lease: SchedulerLease, masters: Readonly<Record<string, string>>]
>('storeMasters');
/** What the scheduler observes of Mesos; stored when it has changed. */
export const storeMesos = defineUpdate<void, [lease: SchedulerLease, facts: MesosFacts]>('storeMesos');
export const markEtcdFormed = defineUpdate<void, []>('markEtcdFormed');
/** etcd was recovered, and is in this epoch; idempotent, and never lowers it. */
export const raiseEtcdEpoch = defineUpdate<void, [epoch: number]>('raiseEtcdEpoch');

export interface FenceResult {
  /** False when it had been declared before. */
  readonly changed: boolean;
  /** Nodes whose tasks on the host are given up. */
  readonly nodes: readonly string[];
}
/**
 * An operator declares a host dead: its nodes are not waited for. Rejected with HOST_NOT_LOST while they are
 * live, and when none waits; idempotent.
 */
export const fenceHost = defineUpdate<FenceResult, [host: string]>('fence');

/**
 * Close a host to nodes: those on it move one at a time, and none is launched on it until `uncordon`. Rejected with
 * UNKNOWN_TARGET for a host without an agent; idempotent.
 */
export const cordonHost = defineUpdate<{ readonly changed: boolean }, [host: string]>('cordon');
/** Open a host again; idempotent. */
export const uncordonHost = defineUpdate<{ readonly changed: boolean }, [host: string]>('uncordon');

/**
 * An operator declares that a host which leaves the cluster never comes back: its nodes are given up as with `fence`,
 * and `up` does not contact it. Rejected with HOST_NOT_LOST while nodes on it are alive according to Mesos, with
 * UNKNOWN_TARGET for a host that the cluster lacks; idempotent.
 */
export const forgetHost = defineUpdate<FenceResult, [host: string]>('forget');

export interface StopFrameworkResult {
  /** Whether Mesos confirmed that the framework is gone. */
  readonly tornDown: boolean;
  /** Why not. */
  readonly reason?: string;
}
/** Continue as a new run, on the current build of the workers, as soon as no update is being carried out. */
/** Starts a scheduler that gave up again, with the spec and the plan that the framework has. */
export const retryScheduler = defineUpdate<{ readonly changed: boolean }, []>('retryScheduler');
export const renewFramework = defineUpdate<void, []>('renew');
/** TEARDOWN to Mesos, then the workflow ends. */
export const stopFramework = defineUpdate<StopFrameworkResult, []>('stop');
export const frameworkState = defineQuery<FrameworkState>('state');

// --- keeper ---------------------------------------------------------------------------------------------

export interface KeeperInput {
  readonly spec: ClusterSpec;
  /** From the previous run. */
  readonly identity?: ClusterIdentity;
  readonly state?: KeeperState;
}

export type { Drift, Incident, KeeperEvent, KeeperState, MoveResult, Verdict } from '../keeper/state.js';

/**
 * Apply a (new) spec; idempotent. The first caller has started the keeper, and changed something. Rejected
 * (CLUSTER_NAME_TAKEN) when it has the ID of another cluster; a new ID alone interrupts nothing.
 */
export const configureKeeper = defineUpdate<
  { readonly changed: boolean },
  [spec: ClusterSpec, identity?: ClusterIdentity | undefined]
>('configure');
/**
 * Announce more nodes ahead of the rest of a spec: they may lead etcd as soon as they run. Resolves to
 * whether the number is new. Never reduces it.
 */
export const announceNodes = defineUpdate<{ readonly changed: boolean }, [count: number]>('announceNodes');
export const stopKeeper = defineUpdate<void, []>('stop');
/** Continue as a new run, on the current build of the workers, once no move is under way. */
export const renewKeeper = defineUpdate<void, []>('renew');

/**
 * Moves Jupyter and leadership to a node, Jupyter first, and resolves when every responding proxy routes to
 * it. Rejected with KEEPER_PAUSED, NODE_UNKNOWN or MOVE_UNDER_WAY before anything is done, with MOVE_FAILED
 * after.
 */
export const moveJupyter = defineUpdate<MoveResult, [node: string]>('move');
export interface PauseInput {
  /** For operators. */
  readonly reason?: string;
}
/** Suspend moves and repairs until `resume`; idempotent. */
export const pauseKeeper = defineUpdate<{ readonly changed: boolean }, [input: PauseInput]>('pause');
export const resumeKeeper = defineUpdate<{ readonly changed: boolean }, []>('resume');
/** Record a repair that was made elsewhere; idempotent. */
export const noteIncident = defineUpdate<void, [incident: Incident]>('noteIncident');
export const keeperState = defineQuery<KeeperState>('state');

// --- teardown -------------------------------------------------------------------------------------------

export interface TeardownInput {
  readonly spec: ClusterSpec;
  /** Remove data, secrets and logs too; absent: false. */
  readonly purge?: boolean;
}

export interface TeardownResult {
  readonly changes: readonly Change[];
}

// --- recovery -------------------------------------------------------------------------------------------

export interface RecoveryInput {
  readonly spec: ClusterSpec;
  /** As an operator has confirmed it. */
  readonly plan: RecoveryPlan;
  /** Hosts and nodes that the operator gave up. */
  readonly lost: readonly string[];
}

export interface RecoveryResult {
  readonly epoch: number;
  /** Node that leads. */
  readonly leader: string;
  /** Nodes whose members vote. */
  readonly members: readonly string[];
  /** Nodes that have yet to join. */
  readonly missing: readonly string[];
}

// --- notify ---------------------------------------------------------------------------------------------

/** What operators are notified of. */
export interface Notice {
  readonly cluster: string;
  readonly kind: 'incident' | 'deployment-failed';
  /** ISO 8601. */
  readonly at: string;
  /** A sentence without its full stop. */
  readonly what: string;
}

export interface NotifyInput {
  readonly notice: Notice;
  /** Name of a receiver, which the workers' file describes. */
  readonly receiver: string;
}

// --- drill ----------------------------------------------------------------------------------------------

export interface DrillInput {
  readonly spec: ClusterSpec;
  /** Increases with each drill of the cluster; no two of them run at the same time. */
  readonly number: number;
  readonly drill: DrillName;
  /** Name of a node, a host, or of what a worker runs; the default one when absent. */
  readonly target?: string;
  /** Which of the possible targets: this number modulo their count. */
  readonly pick?: number;
  /** Overrides the drill's own. */
  readonly budgetMs?: number;
  /** Of the random series that it belongs to. */
  readonly seed?: string;
  /** How long to wait for a healthy cluster; by default an unhealthy one is refused at once. */
  readonly waitMs?: number;
}

export const drillPhases = ['preparing', 'observing', 'healing', 'passed', 'failed', 'cancelled'] as const;
export type DrillPhase = (typeof drillPhases)[number];

/** The memo; the evidence is the workflow's result. */
export interface DrillState {
  readonly cluster: string;
  readonly number: number;
  readonly drill: DrillName;
  readonly phase: DrillPhase;
  readonly target?: string;
  readonly budgetMs?: number;
  /** Something was, or may have been, injected, and may not be healed yet. */
  readonly unhealed: boolean;
  readonly verdict?: Evidence['verdict'];
  readonly recoveredMs?: number;
  readonly failure?: { readonly code: string; readonly message: string; readonly remedy: string };
}

export type { Evidence };
export const drillState = defineQuery<DrillState>('state');

export type { ErrorCode };
