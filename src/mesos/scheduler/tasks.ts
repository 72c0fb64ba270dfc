/**
 * The table of our Mesos tasks, one per node, and all decisions about it. Pure: the framework workflow and
 * the scheduler apply the same functions to the same messages.
 */
import { pauseAfter } from '../../net/back-off.js';

/** Mesos' own task states, plus `INTENDED`: stored, and perhaps not yet requested. */
export type TaskState = 'INTENDED' | `TASK_${string}`;

export interface NodeTask {
  readonly node: string;
  readonly taskId: string;
  readonly agentId: string;
  /** Name of the host in the spec. */
  readonly host: string;
  /** Digest of the node's configuration that the task was launched with. */
  readonly config: string;
  readonly state: TaskState;
  readonly message?: string;
  /** ISO 8601: when it entered this state. */
  readonly since: string;
  /** ISO 8601: when it was first seen running. */
  readonly startedAt?: string;
  /** How many tasks of this node in a row ended soon after their start, including this one. */
  readonly failures: number;
  /** Its member leaves etcd for good, so it is killed even if the spec changes. */
  readonly retiring?: true;
}

export interface TaskTable {
  /** One entry for each node that has or had a task: its newest. */
  readonly tasks: Readonly<Record<string, NodeTask>>;
  /** How many tasks were launched so far; the next task ID has the next number. */
  readonly launches: number;
  /** By node, the host that has its data, from before this framework; of nodes that had no task yet. */
  readonly homes?: Readonly<Record<string, string>>;
}

export interface LaunchIntent {
  readonly node: string;
  readonly taskId: string;
  readonly agentId: string;
  readonly host: string;
  readonly config: string;
}

export interface TaskUpdate {
  readonly taskId: string;
  readonly state: TaskState;
  readonly message?: string;
}

/**
 * `live`: it runs, or may be about to. `unreachable`: its agent is cut off, it may run. `unknown`: Mesos does
 * not know. `terminal`: it does not run and never will.
 */
export type TaskKind = 'live' | 'unreachable' | 'unknown' | 'terminal';

const kinds: Readonly<Record<string, TaskKind>> = {
  INTENDED: 'live',
  TASK_STAGING: 'live',
  TASK_STARTING: 'live',
  TASK_RUNNING: 'live',
  TASK_KILLING: 'live',
  TASK_UNREACHABLE: 'unreachable',
  TASK_UNKNOWN: 'unknown',
  TASK_FINISHED: 'terminal',
  TASK_FAILED: 'terminal',
  TASK_KILLED: 'terminal',
  TASK_ERROR: 'terminal',
  TASK_LOST: 'terminal',
  TASK_DROPPED: 'terminal',
  TASK_GONE: 'terminal',
  TASK_GONE_BY_OPERATOR: 'terminal',
};

/** The kind of a state. States that a later Mesos may add are `unknown`: such a task is not relaunched. */
export function kindOf(state: TaskState): TaskKind {
  return kinds[state] ?? 'unknown';
}

/** Terminal states that the master infers, and takes back when the agent reports otherwise. */
const presumed = new Set<TaskState>(['TASK_LOST', 'TASK_DROPPED', 'TASK_GONE']);

/** A task that ran this long was healthy: its node's next failure counts as the first. */
const stableMs = 60_000;

export function taskIdOf(node: string, launch: number): string {
  return `${node}.${launch}`;
}

/** The parts of one of our task IDs (`node3.17`); undefined for any other ID. */
export function parseTaskId(taskId: string): { node: string; launch: number } | undefined {
  const match = /^(node(?:0|[1-9]\d*))\.([1-9]\d*)$/.exec(taskId);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { node: match[1], launch: Number(match[2]) };
}

/**
 * Why these intents must not be stored: a node has another task that may be alive, or a task ID was used
 * before. Undefined when they may. Intents that are already stored are accepted.
 */
export function intentsRejection(table: TaskTable, intents: readonly LaunchIntent[]): string | undefined {
  const nodes = new Set<string>();
  for (const { node, taskId } of intents) {
    const parts = parseTaskId(taskId);
    if (parts?.node !== node) return `${taskId} is not a task ID of ${node}`;
    if (nodes.has(node)) return `two intents for ${node}`;
    nodes.add(node);
    const present = table.tasks[node];
    if (present?.taskId === taskId) continue;
    if (present !== undefined && kindOf(present.state) !== 'terminal') {
      return `${node} has the task ${present.taskId} in state ${present.state}`;
    }
    if (parts.launch <= table.launches) return `${taskId}: launch number ${parts.launch} was used before`;
  }
  return undefined;
}

/** Adds these intents to the table. Storing them again changes nothing. */
export function applyIntents<T extends TaskTable>(table: T, intents: readonly LaunchIntent[], at: string): T {
  const fresh = intents.filter(({ node, taskId }) => table.tasks[node]?.taskId !== taskId);
  if (fresh.length === 0) return table;
  const tasks = { ...table.tasks };
  let { launches } = table;
  for (const intent of fresh) {
    tasks[intent.node] = {
      ...intent,
      state: 'INTENDED',
      since: at,
      failures: table.tasks[intent.node]?.failures ?? 0,
    };
    launches = Math.max(launches, parseTaskId(intent.taskId)?.launch ?? 0);
  }
  return { ...table, tasks, launches };
}

/** Marks this task as about to leave etcd. Storing it again changes nothing. */
export function applyRetiring<T extends TaskTable>(table: T, taskId: string): T {
  const task = Object.values(table.tasks).find((each) => each.taskId === taskId);
  if (task === undefined || task.retiring) return table;
  return { ...table, tasks: { ...table.tasks, [task.node]: { ...task, retiring: true } } };
}

/** Adds tasks that Mesos knows and the table lacks, for nodes without a task of their own. */
export function adoptTasks<T extends TaskTable>(table: T, found: readonly NodeTask[]): T {
  const adopted = found.filter(({ node }) => table.tasks[node] === undefined);
  const highest = found.map(({ taskId }) => parseTaskId(taskId)?.launch ?? 0);
  const launches = Math.max(table.launches, ...highest);
  if (adopted.length === 0 && launches === table.launches) return table;
  const tasks = { ...table.tasks, ...Object.fromEntries(adopted.map((task) => [task.node, task])) };
  return { ...table, tasks, launches };
}

/** Applies these updates; returns the same value when they change nothing. Skips unknown tasks. */
export function applyUpdates<T extends TaskTable>(table: T, updates: readonly TaskUpdate[], at: string): T {
  let tasks = table.tasks;
  for (const update of updates) {
    const node = parseTaskId(update.taskId)?.node;
    const present = node === undefined ? undefined : tasks[node];
    if (present?.taskId !== update.taskId) continue;
    const next = updated(present, update, at);
    if (next !== present) tasks = { ...tasks, [present.node]: next };
  }
  return tasks === table.tasks ? table : { ...table, tasks };
}

function updated(present: NodeTask, update: TaskUpdate, at: string): NodeTask {
  const state = stateAfter(present.state, update.state);
  if (state === present.state) return present;
  const message = update.message?.slice(0, longestMessage);
  const startedAt = present.startedAt ?? (state === 'TASK_RUNNING' ? at : undefined);
  return {
    node: present.node,
    taskId: present.taskId,
    agentId: present.agentId,
    host: present.host,
    config: present.config,
    state,
    ...(message === undefined ? {} : { message }),
    since: at,
    ...(startedAt === undefined ? {} : { startedAt }),
    failures: failuresAfter(present, state, at),
    ...(present.retiring && { retiring: true }),
  };
}

const longestMessage = 300;

function stateAfter(present: TaskState, reported: TaskState): TaskState {
  if (kindOf(present) === 'terminal') {
    return presumed.has(present) && kindOf(reported) === 'live' ? reported : present;
  }
  // Mesos does not know it: the ACCEPT was not sent, or did not arrive.
  if (present === 'INTENDED' && reported === 'TASK_UNKNOWN') return 'TASK_DROPPED';
  return reported;
}

/** Tasks killed by us (or an operator) and tasks lost with their agent do not count against the node. */
const blameless = new Set<TaskState>(['TASK_KILLED', 'TASK_GONE', 'TASK_GONE_BY_OPERATOR']);

function failuresAfter(present: NodeTask, state: TaskState, at: string): number {
  if (kindOf(state) !== 'terminal' || kindOf(present.state) === 'terminal') return present.failures;
  if (blameless.has(state)) return 0;
  const ranMs = present.startedAt === undefined ? 0 : Date.parse(at) - Date.parse(present.startedAt);
  return ranMs >= stableMs ? 1 : present.failures + 1;
}

/** How long a node waits after this many failures in a row: 0, 1 s, 2 s, 4 s, … up to 30 s. */
export function backOffMs(failures: number): number {
  return pauseAfter(failures - 1, { firstMs: 1_000, longestMs: 30_000 });
}

/** A live task of ours that is not in the table: a second task of its node, or a task of a surplus node. */
export interface Stranger {
  readonly taskId: string;
  readonly agentId?: string;
}

export interface TaskPlanInput {
  /** Nodes that should have a task, by index. */
  readonly nodes: readonly string[];
  readonly tasks: Readonly<Record<string, NodeTask>>;
  /** As in `TaskTable`. */
  readonly homes?: TaskTable['homes'];
  readonly strangers: readonly Stranger[];
  /** Digest of the configuration that the spec gives the node on that host. */
  readonly configOf: (node: string, host: string) => string;
  /** Whether nodes may be on the host, by name. Absent: on all. */
  readonly mayHold?: (host: string) => boolean;
  /** For placement: how many nodes a host may hold, and the hosts that can take one now. Absent: no limit. */
  readonly spread?: { readonly most: number; readonly hosts: readonly string[] };
  /** What else is known about a task that its node waits for. */
  readonly noteOf?: (task: NodeTask) => string | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface NodeNeed {
  readonly node: string;
  /** Host of its last task, which has its data. */
  readonly previousHost?: string;
  /** How long it is known to have been without a task. */
  readonly waitedMs: number;
  /** How long this scheduler has received offers for it from this master; absent: for `waitedMs`. */
  readonly listenedMs?: number;
}

export interface Kill {
  readonly taskId: string;
  readonly agentId?: string;
  readonly why: string;
}

/** A working task that is to be killed. */
export interface Roll extends Kill {
  readonly node: string;
  /** Its node is removed for good. */
  readonly leaves: boolean;
  /** Its node needs a place on another host first. */
  readonly moves: boolean;
}

export interface TaskPlan {
  /** Nodes to launch on the next suitable offer. */
  readonly launch: readonly NodeNeed[];
  /** Tasks to kill now, and again until they have ended. */
  readonly kill: readonly Kill[];
  /**
   * The one task to kill because its configuration has changed, the spec has fewer nodes, or its host may hold
   * no nodes or has too many. It is killed once the other nodes are healthy and it serves no users; with `leaves`, once its
   * member has left etcd.
   */
  readonly roll?: Roll;
  /** A sentence for each node that is waited for. */
  readonly notes: readonly string[];
  /** When a back-off ends and planning must run again without an event. Milliseconds since the epoch. */
  readonly wakeAt?: number;
}

/**
 * Decides what to do about the tasks:
 * - launch a node whose task is terminal, or that never had one, after its back-off;
 * - a node whose task is unreachable or unknown waits until the task is given up (`fencing.ts`) or found
 *   again, because two nodes with one address would be worse;
 * - kill a stranger, and do not launch its node while it lives;
 * - kill tasks of surplus nodes (highest first), with an outdated configuration, or on a host that holds too
 *   many nodes: one at a time, and only while all others run.
 */
export function planTasks(input: TaskPlanInput): TaskPlan {
  const { nodes, tasks, homes, strangers, noteOf, now } = input;
  const launch: NodeNeed[] = [];
  const notes: string[] = [];
  let wakeAt: number | undefined;
  const strangerOf = new Map(strangers.map((stranger) => [parseTaskId(stranger.taskId)?.node, stranger]));

  for (const node of nodes) {
    const task = tasks[node];
    const stranger = strangerOf.get(node);
    const kind = task === undefined ? 'terminal' : kindOf(task.state);
    if (task !== undefined && (kind === 'unreachable' || kind === 'unknown')) {
      const more = noteOf?.(task);
      notes.push(`${waitingNote(task, kind)}${more === undefined ? '' : `; ${more}`}`);
      continue;
    }
    if (kind === 'live') continue;
    if (stranger !== undefined) {
      notes.push(`${node} waits for the end of ${stranger.taskId}, a task that is not stored`);
      continue;
    }
    const dueAt = task === undefined ? now : Date.parse(task.since) + backOffMs(task.failures);
    if (task !== undefined && task.failures > 1) notes.push(failureNote(task));
    if (dueAt > now) {
      wakeAt = Math.min(wakeAt ?? dueAt, dueAt);
      continue;
    }
    const previousHost = task?.host ?? homes?.[node];
    launch.push({
      node,
      ...(previousHost === undefined ? {} : { previousHost }),
      waitedMs: task === undefined ? 0 : now - Date.parse(task.since),
    });
  }

  const surplus = Object.values(tasks).filter(
    ({ node, state }) => !nodes.includes(node) && kindOf(state) === 'live',
  );
  if (launch.length > 0 && surplus.length > 0) {
    const [stay, run] = [surplus, launch].map((list) => list.map(({ node }) => node).join(', '));
    notes.push(`${stay} will be removed as soon as ${run} runs`);
  }

  notes.push(...drainingNotes(input));
  const kill = strangers.map((stranger) => ({ ...stranger, why: 'the task is not stored' }));
  const roll = rollOf(input);
  return {
    launch,
    kill,
    ...(roll === undefined ? {} : { roll }),
    notes,
    ...(wakeAt === undefined ? {} : { wakeAt }),
  };
}

function drainingNotes({ tasks, nodes, mayHold = () => true }: TaskPlanInput): string[] {
  return Object.values(tasks)
    .filter(({ node, host, state }) => nodes.includes(node) && kindOf(state) === 'live' && !mayHold(host))
    .map(({ node, host }) => `${node} will move from ${host} to another host`);
}

function waitingNote(task: NodeTask, kind: 'unreachable' | 'unknown'): string {
  return kind === 'unreachable'
    ? `${task.node} waits: the agent on ${task.host} has been unreachable since ${task.since}, and the node may still run there`
    : `${task.node} waits: Mesos does not know whether ${task.taskId} on ${task.host} is still running (${task.state})`;
}

function failureNote(task: NodeTask): string {
  const last = `${task.state}${task.message === undefined ? '' : `: ${task.message}`}`;
  return `${task.node} ended ${task.failures} times shortly after its start (${last}); it is relaunched after ${backOffMs(task.failures) / 1_000} s`;
}

function rollOf({ nodes, tasks, configOf, spread, mayHold = () => true }: TaskPlanInput): Roll | undefined {
  const all = Object.values(tasks);
  const leaves = (task: NodeTask) => task.retiring === true || !nodes.includes(task.node);
  const wholeWithout = (task: NodeTask) =>
    nodes.every((node) => node === task.node || tasks[node]?.state === 'TASK_RUNNING') &&
    all.every((other) => other === task || !leaves(other) || mayStay(other));
  const candidates = all
    .filter((task) => kindOf(task.state) === 'live' && task.state !== 'INTENDED' && wholeWithout(task))
    .toSorted((a, b) => indexOf(a.node) - indexOf(b.node));
  const roll = (task: NodeTask | undefined, why: string): Roll | undefined =>
    task && {
      node: task.node,
      taskId: task.taskId,
      agentId: task.agentId,
      why,
      leaves: leaves(task),
      moves: !leaves(task) && !mayHold(task.host),
    };
  return (
    roll(
      candidates.find((task) => leaves(task) && task.state === 'TASK_KILLING'),
      'it is being killed',
    ) ??
    roll(
      candidates.find(({ retiring }) => retiring),
      'its member has left etcd',
    ) ??
    roll(candidates.findLast(leaves), 'the spec now has fewer nodes') ??
    roll(
      candidates.find(({ host }) => !mayHold(host)),
      'its host is drained',
    ) ??
    roll(
      candidates.find((task) => configOf(task.node, task.host) !== task.config),
      'its configuration has changed',
    ) ??
    roll(
      candidates.find((task) => spread && isCrowded(task, all, spread)),
      'its host runs a majority of the nodes',
    )
  );
}

/** Whether its host holds too many nodes while another has room by count; the host's highest nodes move. */
function isCrowded(
  { host, node }: NodeTask,
  all: readonly NodeTask[],
  { most, hosts }: NonNullable<TaskPlanInput['spread']>,
): boolean {
  const alive = all.filter(({ state }) => kindOf(state) !== 'terminal');
  const on = (name: string) => alive.filter((task) => task.host === name);
  const lower = on(host).filter((task) => indexOf(task.node) < indexOf(node));
  return lower.length >= most && hosts.some((name) => name !== host && on(name).length < most);
}

/** A surplus node does not block rolling another, unless it is being killed right now. */
function mayStay(surplus: NodeTask): boolean {
  return surplus.state !== 'TASK_KILLING';
}

function indexOf(node: string): number {
  return Number(node.replace(/^node/, ''));
}

/** Whether offers are needed; otherwise they are suppressed. */
export function offersWanted(plan: TaskPlan): boolean {
  return plan.launch.length > 0 || plan.wakeAt !== undefined || plan.roll?.moves === true;
}
