/**
 * Gives up tasks whose state Mesos does not know, so that their nodes can be launched again: what is stored
 * about them, and how it changes. Pure: the framework workflow and the scheduler apply the same functions.
 */
import { applyUpdates, kindOf, parseTaskId, type NodeTask, type TaskTable } from '../scheduler/tasks.js';

/** An operator's declaration that a host is dead. It holds until a task lives on the host again. */
export interface HostFence {
  /** ISO 8601. */
  readonly at: string;
  /** Nodes whose tasks it concerned. */
  readonly nodes: readonly string[];
}

/** A task that was given up without proof: if its host comes back, what still runs there is ended. */
export interface PresumedTask {
  readonly node: string;
  readonly taskId: string;
  readonly host: string;
}

/** What is stored about fencing; absent when there is nothing. */
export interface FenceFacts {
  /** By the name of the host. */
  readonly fences?: Readonly<Record<string, HostFence>>;
  readonly presumed?: readonly PresumedTask[];
}

/** `ended`: its host has confirmed that it does not run. `presumed`: there was no response. */
export interface FenceOutcome {
  readonly taskId: string;
  readonly how: 'ended' | 'presumed';
  readonly message: string;
}

export type FenceTable = TaskTable & FenceFacts;

/** Whether the task's node waits because Mesos does not know if the task runs. */
export function mayBeLost({ state }: Pick<NodeTask, 'state'>): boolean {
  const kind = kindOf(state);
  return kind === 'unreachable' || kind === 'unknown';
}

/** Why an operator's declaration about a host is refused; undefined when it is accepted, now or earlier. */
export function fenceRejection(table: FenceTable, host: string): string | undefined {
  const tasks = tasksOn(table, host);
  const live = liveNodes(table, host);
  if (live !== undefined) return `${host} has nodes that are alive according to Mesos: ${live}`;
  if (tasks.some(mayBeLost) || table.fences?.[host] !== undefined) return undefined;
  return `no node waits for a fence of ${host}`;
}

/** `node1 (TASK_RUNNING)`: the nodes of the host that are alive according to Mesos; undefined when there is none. */
export function liveNodes(table: TaskTable, host: string): string | undefined {
  const live = tasksOn(table, host).filter(({ state }) => kindOf(state) === 'live');
  return live.length === 0 ? undefined : live.map(({ node, state }) => `${node} (${state})`).join(', ');
}

/** Adds an operator's declaration to the table; returns the same value when it has it already. */
export function applyHostFence<T extends FenceTable>(table: T, host: string, at: string): T {
  const before = table.fences?.[host];
  const lost = tasksOn(table, host).filter(mayBeLost);
  const nodes = new Set([...(before?.nodes ?? []), ...lost.map(({ node }) => node)]);
  if (before !== undefined && nodes.size === before.nodes.length) return table;
  return { ...table, fences: { ...table.fences, [host]: { at, nodes: [...nodes] } } };
}

/** The table after tasks were given up. Skips tasks that are alive by now; doing it twice changes nothing. */
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
      // As when an agent is gone for good: no failure of the node, and the agent may report otherwise.
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

/** Removes declarations about hosts where tasks live now, and presumed tasks that turned out to be alive. */
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

/** Removes entries about hosts that the spec no longer has: they cannot be asked. */
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

function tasksOn(table: TaskTable, host: string): NodeTask[] {
  const tasks = Object.values(table.tasks).filter((task) => task.host === host);
  return tasks.toSorted((a, b) => numberOf(a) - numberOf(b));
}

function numberOf({ node }: NodeTask): number {
  return Number(node.slice('node'.length));
}

/** The task with that ID, if it is the newest of its node. */
export function taskOf(table: TaskTable, taskId: string): NodeTask | undefined {
  const node = parseTaskId(taskId)?.node;
  const task = node === undefined ? undefined : table.tasks[node];
  return task?.taskId === taskId ? task : undefined;
}

/** Whether its node has a later task: this one had ended, or was given up, before that one was launched. */
export function isSuperseded(table: TaskTable, taskId: string): boolean {
  const parts = parseTaskId(taskId);
  const present = parts === undefined ? undefined : table.tasks[parts.node];
  return parts !== undefined && parts.launch < (parseTaskId(present?.taskId ?? '')?.launch ?? 0);
}
