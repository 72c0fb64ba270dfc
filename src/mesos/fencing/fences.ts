/**
 * Giving a task up that Mesos cannot tell about, so that its node can be launched again. What is stored of it, and
 * how it changes. Pure: the framework workflow and the scheduler apply the same functions.
 */
import { applyUpdates, kindOf, parseTaskId, type NodeTask, type TaskTable } from '../scheduler/tasks.js';

/** The word of an operator that a host is lost. It holds until a task lives there again. */
export interface HostFence {
  /** ISO 8601. */
  readonly at: string;
  /** Nodes whose tasks it was about. */
  readonly nodes: readonly string[];
}

/** A task that was given up without proof: should its host come back, what runs there is ended. */
export interface PresumedTask {
  readonly node: string;
  readonly taskId: string;
  readonly host: string;
}

/** What is stored about fencing; absent where there is nothing to say. */
export interface FenceFacts {
  /** By the name of the host. */
  readonly fences?: Readonly<Record<string, HostFence>>;
  readonly presumed?: readonly PresumedTask[];
}

/** `ended`: its host has confirmed that it does not run. `presumed`: nobody could be asked. */
export interface FenceOutcome {
  readonly taskId: string;
  readonly how: 'ended' | 'presumed';
  readonly message: string;
}

export type FenceTable = TaskTable & FenceFacts;

/** Whether the task's node waits because Mesos cannot tell if it runs. */
export function mayBeLost({ state }: Pick<NodeTask, 'state'>): boolean {
  const kind = kindOf(state);
  return kind === 'unreachable' || kind === 'unknown';
}

/** Why an operator's word about a host is refused; undefined when it is taken, or was before. */
export function fenceRejection(table: FenceTable, host: string): string | undefined {
  const tasks = tasksOn(table, host);
  const live = tasks.filter(({ state }) => kindOf(state) === 'live');
  if (live.length > 0) {
    return `${host} has nodes that are alive according to Mesos: ${live.map(({ node, state }) => `${node} (${state})`).join(', ')}`;
  }
  if (tasks.some(mayBeLost) || table.fences?.[host] !== undefined) return undefined;
  return `no node waits for a fence of ${host}`;
}

/** The table with an operator's word in it; the same value when it was there before. */
export function applyHostFence<T extends FenceTable>(table: T, host: string, at: string): T {
  const before = table.fences?.[host];
  const lost = tasksOn(table, host).filter(mayBeLost);
  const nodes = new Set([...(before?.nodes ?? []), ...lost.map(({ node }) => node)]);
  if (before !== undefined && nodes.size === before.nodes.length) return table;
  return { ...table, fences: { ...table.fences, [host]: { at, nodes: [...nodes] } } };
}

/** The table after tasks were given up. One that lives by now is passed over; doing it twice changes nothing. */
export function applyOutcomes<T extends FenceTable>(
  table: T,
  outcomes: readonly FenceOutcome[],
  at: string,
): T {
  let next = table;
  for (const { taskId, how, message } of outcomes) {
    const task = taskOf(next, taskId);
    if (task !== undefined && mayBeLost(task)) {
      const { node, host } = task;
      // As when an agent is gone for good: it says nothing against the node, and the agent may tell otherwise.
      next = applyUpdates(next, [{ taskId, state: 'TASK_GONE', message }], at);
      if (how === 'presumed')
        next = { ...next, presumed: [...(next.presumed ?? []), { node, taskId, host }] };
    }
    if (how === 'ended' && next.presumed?.some((each) => each.taskId === taskId) === true) {
      next = { ...next, presumed: next.presumed.filter((each) => each.taskId !== taskId) };
    }
  }
  return next;
}

/** Without what was said of hosts where tasks live now, and of tasks that were taken back. */
export function settleFences<T extends FenceTable>(table: T): T {
  const { fences = {}, presumed = [] } = table;
  const live = Object.values(table.tasks).filter(({ state }) => kindOf(state) === 'live');
  const kept = Object.entries(fences).filter(([host]) => !live.some((task) => task.host === host));
  const open = presumed.filter(({ taskId }) => !live.some((task) => task.taskId === taskId));
  if (kept.length === Object.keys(fences).length && open.length === presumed.length) return table;
  return {
    ...table,
    ...(kept.length < Object.keys(fences).length ? { fences: Object.fromEntries(kept) } : {}),
    ...(open.length < presumed.length ? { presumed: open } : {}),
  };
}

/** Without what was said of hosts that the spec no longer has: nobody can be asked there. */
export function forgetHosts<T extends FenceTable>(table: T, hosts: readonly string[]): T {
  const { fences = {}, presumed = [] } = table;
  const isKnown = (host: string) =>
    hosts.includes(host) || tasksOn(table, host).some((task) => kindOf(task.state) !== 'terminal');
  if (Object.keys(fences).every(isKnown) && presumed.every(({ host }) => isKnown(host))) return table;
  return {
    ...table,
    fences: Object.fromEntries(Object.entries(fences).filter(([host]) => isKnown(host))),
    presumed: presumed.filter(({ host }) => isKnown(host)),
  };
}

function tasksOn(table: FenceTable, host: string): NodeTask[] {
  const tasks = Object.values(table.tasks).filter((task) => task.host === host);
  return tasks.toSorted((a, b) => numberOf(a) - numberOf(b));
}

function numberOf({ node }: NodeTask): number {
  return Number(node.slice('node'.length));
}

/** The task of that ID, if it is the newest of its node. */
export function taskOf(table: TaskTable, taskId: string): NodeTask | undefined {
  const node = parseTaskId(taskId)?.node;
  const task = node === undefined ? undefined : table.tasks[node];
  return task?.taskId === taskId ? task : undefined;
}

/** Whether its node has a later task: it was over, or given up, before that one was launched. */
export function isSuperseded(table: TaskTable, taskId: string): boolean {
  const parts = parseTaskId(taskId);
  const present = parts === undefined ? undefined : table.tasks[parts.node];
  return parts !== undefined && parts.launch < (parseTaskId(present?.taskId ?? '')?.launch ?? 0);
}
