/** The state of the framework workflow, as plain JSON, and how messages change it. Pure. */
import {
  applyHostFence,
  applyOutcomes,
  fenceRejection,
  forgetHosts,
  mayBeLost,
  settleFences,
  type FenceOutcome,
} from '../mesos/fencing/fences.js';
import { applyForget, forgetRejection } from '../mesos/fencing/forgotten.js';
import {
  adoptTasks,
  applyIntents,
  applyRetiring,
  applyUpdates,
  intentsRejection,
  kindOf,
  type LaunchIntent,
  type NodeTask,
  type TaskUpdate,
} from '../mesos/scheduler/tasks.js';
import { cordonRejection, withoutCordons } from '../mesos/scheduler/cordons.js';
import { hostKeysOf, withHostKeys, withoutHostKeys } from '../cluster/host-keys.js';
import type { ClusterIdentity } from '../cluster/identity.js';
import { nodeNames, type ClusterSpec } from '../cluster/spec.js';
import type { NodePlan } from '../node/plan.js';
import type {
  ConfigureResult,
  FenceResult,
  FrameworkFailure,
  FrameworkInput,
  FrameworkState,
  MesosFacts,
  SchedulerLease,
} from '../temporal/contract.js';

export interface FrameworkMemory {
  readonly spec: ClusterSpec;
  readonly state: FrameworkState;
  /** `configure` was called at least once since the workflow was first started. */
  readonly configured: boolean;
  /** How many times the scheduler activity was started. */
  readonly run: number;
  /** Undefined until the first `up` of a release that knows of it. */
  readonly identity?: ClusterIdentity;
}

export const emptyState: FrameworkState = { tasks: {}, launches: 0, etcdFormed: false };

export function firstMemory({ spec, state, remembered, identity }: FrameworkInput): FrameworkMemory {
  return {
    spec,
    state: state ?? { ...emptyState, ...remembered },
    configured: state !== undefined,
    run: state?.lease?.run ?? 0,
    ...(identity && { identity }),
  };
}

/** The input of the workflow's next run. */
export function carriedOver({ spec, state, run, identity }: FrameworkMemory): FrameworkInput {
  return {
    spec,
    state: { ...state, lease: { run, attempt: state.lease?.attempt ?? 0 } },
    ...(identity && { identity }),
  };
}

/**
 * Whether the scheduler must be restarted, and the memory with that spec.
 *
 * Other keys of hosts are taken over with no other effect; known ones are kept where the spec has none.
 *
 * @param plan of the nodes; undefined from a worker of an earlier release
 * @param asks ask about a removed framework's tasks; earlier versions took those last seen alive as ended
 */
export function configure(
  memory: FrameworkMemory,
  given: ClusterSpec,
  plan?: NodePlan,
  asks = true,
): { readonly memory: FrameworkMemory; readonly result: ConfigureResult } {
  const { failure } = memory.state;
  const present = hostKeysOf(memory.spec.hosts);
  const spec = withHostKeys(given, present);
  const isRekeyed = !sameJson(hostKeysOf(spec.hosts), present);
  const isSame =
    sameJson(withoutHostKeys(memory.spec), withoutHostKeys(spec)) && sameJson(memory.state.plan, plan);
  if (memory.configured && isSame && failure === undefined) {
    return { memory: isRekeyed ? { ...memory, spec } : memory, result: 'unchanged' };
  }
  const hosts = spec.hosts.map(({ name }) => name);
  const { forgotten = {} } = memory.state;
  const state = withoutCordons(
    forgetHosts(withPlan(without(without(memory.state, 'failure'), 'forgotten'), plan), hosts),
    (host) => cordonRejection(spec, host) !== undefined || forgotten[host] !== undefined,
  );
  return {
    memory: {
      ...memory,
      // By another spec the scheduler knows that it must end.
      spec: isSame && !isRekeyed ? memory.spec : { ...spec },
      configured: true,
      state: withoutSurplus(
        failure?.code === 'MESOS_FRAMEWORK_REMOVED' ? withoutFramework(state, asks) : state,
        spec,
      ),
    },
    result: memory.configured ? 'changed' : 'started',
  };
}

/**
 * Mesos killed the tasks with the framework, but not those of agents that it could not reach, and it did not
 * report them: the next framework asks for them, and fences those that Mesos does not know. The hosts of the
 * tasks are kept, because they have the nodes' data.
 */
function withoutFramework(state: FrameworkState, asks: boolean): FrameworkState {
  const tasks = Object.values(state.tasks).map((task): NodeTask => {
    if (kindOf(task.state) === 'terminal') return task;
    const state = asks || mayBeLost(task) ? 'TASK_UNKNOWN' : 'TASK_GONE';
    return { ...task, state, message: 'Mesos removed the framework', failures: 0 };
  });
  return {
    ...without(state, 'frameworkId'),
    tasks: Object.fromEntries(tasks.map((task) => [task.node, task])),
  };
}

function withPlan(state: FrameworkState, plan: NodePlan | undefined): FrameworkState {
  return plan === undefined ? without(state, 'plan') : { ...state, plan };
}

/** For those who need no plan: it would be in the history each time. */
export function withoutPlan<T extends Pick<FrameworkState, 'plan'>>(state: T): Omit<T, 'plan'> {
  const { plan, ...rest } = state;
  return rest;
}

function without(
  state: FrameworkState,
  key: 'failure' | 'forgotten' | 'frameworkId' | 'masters' | 'missing' | 'plan',
): FrameworkState {
  const copy: { -readonly [K in keyof FrameworkState]: FrameworkState[K] } = { ...state };
  delete copy[key];
  return copy;
}

/** Negative when `a` is an earlier attempt than `b`. */
export function compareLeases(a: SchedulerLease, b: SchedulerLease): number {
  return a.run - b.run || a.attempt - b.attempt;
}

/** Why an attempt must not become the scheduler; undefined when it may. */
export function claimRejection(
  state: FrameworkState,
  run: number,
  lease: SchedulerLease,
): string | undefined {
  if (lease.run !== run) return `run ${lease.run} of the scheduler has ended`;
  if (state.lease !== undefined && compareLeases(lease, state.lease) < 0) {
    return `attempt ${state.lease.attempt} is the scheduler now, on ${state.scheduler ?? 'another worker'}`;
  }
  return undefined;
}

/** Why an attempt must not write; undefined when it may. */
export function leaseRejection(state: FrameworkState, lease: SchedulerLease): string | undefined {
  if (state.lease !== undefined && compareLeases(lease, state.lease) === 0) return undefined;
  return `run ${lease.run}, attempt ${lease.attempt} is not, or no longer, the scheduler`;
}

export function claim(state: FrameworkState, lease: SchedulerLease, scheduler: string): FrameworkState {
  return { ...state, lease, scheduler };
}

/** Why another ID must not replace the stored one; undefined when there is none, or it is the same. */
export function frameworkIdRejection(state: FrameworkState, frameworkId: string): string | undefined {
  if (state.frameworkId === undefined || state.frameworkId === frameworkId) return undefined;
  return `the framework already has the ID ${state.frameworkId}`;
}

export function withFrameworkId(
  state: FrameworkState,
  frameworkId: string,
  found: readonly NodeTask[],
): FrameworkState {
  return adoptTasks({ ...state, frameworkId }, found);
}

export { fenceRejection, forgetRejection, intentsRejection };

export function withIntents(
  state: FrameworkState,
  intents: readonly LaunchIntent[],
  at: string,
): FrameworkState {
  return settleFences(applyIntents(state, intents, at));
}

export function withRetiring(state: FrameworkState, taskId: string): FrameworkState {
  return applyRetiring(state, taskId);
}

/** Applies these updates; a surplus node is forgotten when its task has ended. */
export function withTaskUpdates(
  state: FrameworkState,
  updates: readonly TaskUpdate[],
  at: string,
  spec: ClusterSpec,
): FrameworkState {
  const next = applyUpdates(state, updates, at);
  return next === state ? state : settleFences(withoutSurplus(next, spec));
}

/** Applies the outcomes of fencing. */
export function withFencing(
  state: FrameworkState,
  outcomes: readonly FenceOutcome[],
  at: string,
  spec: ClusterSpec,
): FrameworkState {
  const next = applyOutcomes(state, outcomes, at);
  return next === state ? state : withoutSurplus(next, spec);
}

/** Adds an operator's declaration that a host is dead, and returns the response to it. */
export function fence(
  state: FrameworkState,
  host: string,
  at: string,
): { readonly state: FrameworkState; readonly result: FenceResult } {
  return declared(state, applyHostFence(state, host, at), host);
}

/** Adds an operator's declaration that a host never comes back, and returns the response to it. */
export function forget(
  state: FrameworkState,
  host: string,
  at: string,
): { readonly state: FrameworkState; readonly result: FenceResult } {
  return declared(state, applyForget(state, host, at), host);
}

function declared(
  before: FrameworkState,
  state: FrameworkState,
  host: string,
): { readonly state: FrameworkState; readonly result: FenceResult } {
  return { state, result: { changed: state !== before, nodes: state.fences?.[host]?.nodes ?? [] } };
}

function withoutSurplus(state: FrameworkState, spec: ClusterSpec): FrameworkState {
  const wanted = new Set(nodeNames(spec));
  const kept = Object.values(state.tasks).filter(
    (task) => wanted.has(task.node) || kindOf(task.state) !== 'terminal',
  );
  return { ...state, tasks: Object.fromEntries(kept.map((task) => [task.node, task])) };
}

export function withMissing(state: FrameworkState, missing: string | null): FrameworkState {
  return missing === null ? without(state, 'missing') : { ...state, missing };
}

export function withMasters(
  state: FrameworkState,
  masters: Readonly<Record<string, string>>,
): FrameworkState {
  const rest = without(state, 'masters');
  return Object.keys(masters).length === 0 ? rest : { ...rest, masters };
}

/** Returns the same value when nothing has changed. */
export function withMesos(state: FrameworkState, mesos: MesosFacts): FrameworkState {
  return sameJson(state.mesos, mesos) ? state : { ...state, mesos };
}

export function withFailure(state: FrameworkState, failure: FrameworkFailure): FrameworkState {
  return { ...state, failure };
}

/** Equal as data: the order of keys does not matter. */
export function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a, sorted) === JSON.stringify(b, sorted);
}

function sorted(_key: string, value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The state as Markdown, for Temporal's Web UI. */
export function details(memory: FrameworkMemory): string {
  const { spec, state } = memory;
  const nodes = nodeNames(spec);
  const running = nodes.filter((node) => state.tasks[node]?.state === 'TASK_RUNNING').length;
  const rows = Object.values(state.tasks)
    .toSorted((a, b) => nodeNumber(a) - nodeNumber(b))
    .map(
      ({ node, host, state: taskState, taskId, since, message }) =>
        `| ${[node, host, taskState, taskId, since, message ?? ''].map(cell).join(' | ')} |`,
    );
  return [
    `**Framework of ${spec.name}**: ${running} of ${nodes.length} nodes run.`,
    '',
    `- framework ID: ${state.frameworkId ?? 'none yet'}`,
    `- scheduler: ${state.scheduler ?? 'none yet'}`,
    ...(state.mesos === undefined ? [] : [`- leading Mesos master: ${state.mesos.leader}`]),
    ...(state.missing === undefined ? [] : [`- waiting: ${state.missing}`]),
    ...Object.values(state.masters ?? {}).map((what) => `- ${what}`),
    ...Object.entries(state.fences ?? {}).map(
      ([host, { at, nodes: given }]) =>
        `- ${host} was declared dead by an operator at ${at}: ${given.join(', ')}`,
    ),
    ...Object.entries(state.forgotten ?? {}).map(
      ([host, { at }]) => `- ${host} never comes back, as an operator declared at ${at}`,
    ),
    ...(state.failure === undefined
      ? []
      : [`- **${state.failure.code}**: ${state.failure.message} ${state.failure.remedy}`]),
    ...(rows.length === 0
      ? []
      : ['', '| node | host | state | task | since | message |', '| --- | --- | --- | --- | --- | --- |']),
    ...rows,
  ].join('\n');
}

function nodeNumber({ node }: NodeTask): number {
  return Number(node.slice('node'.length));
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
