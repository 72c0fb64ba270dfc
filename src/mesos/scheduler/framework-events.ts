/** Changes of the framework, its tasks and its Mesos, as lines for operators: states compared. Pure. */
import type { FenceFacts } from '../fencing/fences.js';
import type { CordonFacts } from './cordons.js';
import { kindOf, type NodeTask, type TaskTable } from './tasks.js';

export type FrameworkEventKind =
  /** Which master leads; which agents are registered. */
  | 'leader'
  | 'agent'
  /** Which worker runs the scheduler, and whether it has given up. */
  | 'scheduler'
  | 'failed'
  /** The framework's ID. */
  | 'framework'
  /** What happens to a task. */
  | 'launched'
  | 'running'
  | 'lost'
  | 'fenced'
  | 'ended'
  /** An operator closes a host to nodes, or opens it. */
  | 'cordoned'
  | 'uncordoned';

export interface FrameworkEvent {
  /** Increases by one with each event. */
  readonly seq: number;
  /** ISO 8601. */
  readonly at: string;
  readonly kind: FrameworkEventKind;
  /** A sentence without its full stop. */
  readonly what: string;
}

/** As the leading master reports it: an `away` agent was lost or has never registered. */
export type AgentPresence = 'here' | 'away';

/** The scheduler's last observation of Mesos. Hosts by their names in the spec. */
export interface MesosFacts {
  /** The host of the leading master; its address if it is not in the spec. */
  readonly leader: string;
  readonly agents: Readonly<Record<string, AgentPresence>>;
}

/** A task that was replaced by a newer one of its node. */
export interface PastTask {
  readonly taskId: string;
  readonly host: string;
  /** Its last state. */
  readonly state: string;
  readonly message?: string;
  /** ISO 8601: when it entered that state, and when it was first seen running. */
  readonly since: string;
  readonly startedAt?: string;
}

/** The state that is compared. */
export interface FrameworkObservation extends TaskTable, FenceFacts, CordonFacts {
  readonly frameworkId?: string;
  readonly scheduler?: string;
  readonly lease?: { readonly run: number; readonly attempt: number };
  readonly failure?: { readonly code: string; readonly message: string };
  readonly mesos?: MesosFacts;
}

type Line = Pick<FrameworkEvent, 'kind' | 'what'>;

/** The changes between two states of one framework, causes before their effects. */
export function happened(before: FrameworkObservation, after: FrameworkObservation): readonly Line[] {
  return [
    ...ofScheduler(before, after),
    ...ofMesos(before.mesos, after.mesos),
    ...ofFences(before, after),
    ...ofCordons(before, after),
    ...Object.keys({ ...before.tasks, ...after.tasks }).flatMap((node) =>
      ofTask(before.tasks[node], after.tasks[node]),
    ),
  ];
}

function ofScheduler(before: FrameworkObservation, after: FrameworkObservation): Line[] {
  const { scheduler, lease, failure, frameworkId } = after;
  const lines: Line[] = [];
  const took =
    lease !== undefined && (lease.run !== before.lease?.run || lease.attempt !== before.lease.attempt);
  if (took && scheduler !== undefined) {
    const from =
      before.scheduler === undefined || before.scheduler === scheduler ? '' : `, after ${before.scheduler}`;
    lines.push({ kind: 'scheduler', what: `${scheduler} runs the scheduler${from}` });
  }
  if (failure !== undefined && failure !== before.failure) {
    lines.push({
      kind: 'failed',
      what: `the scheduler gave up (${failure.code}): ${ended(failure.message)}`,
    });
  }
  if (frameworkId !== undefined && frameworkId !== before.frameworkId) {
    lines.push({ kind: 'framework', what: `Mesos registered the framework as ${frameworkId}` });
  }
  if (frameworkId === undefined && before.frameworkId !== undefined) {
    lines.push({ kind: 'framework', what: `the framework ${before.frameworkId} no longer exists` });
  }
  return lines;
}

function ofMesos(before: MesosFacts | undefined, after: MesosFacts | undefined): Line[] {
  if (after === undefined) return [];
  const lines: Line[] = [];
  if (after.leader !== before?.leader) {
    const from = before === undefined ? '' : `, after ${before.leader}`;
    lines.push({ kind: 'leader', what: `the Mesos master on ${after.leader} leads${from}` });
  }
  for (const [host, presence] of Object.entries(after.agents)) {
    const earlier = before?.agents[host];
    if (presence === earlier || (earlier === undefined && presence === 'here')) continue;
    const what = presence === 'here' ? 'is registered again' : 'is disconnected';
    lines.push({ kind: 'agent', what: `the Mesos agent on ${host} ${what}` });
  }
  return lines;
}

function ofFences(before: FenceFacts, after: FenceFacts): Line[] {
  return Object.entries(after.fences ?? {}).flatMap(([host, { nodes }]): Line[] =>
    before.fences?.[host] === undefined
      ? [{ kind: 'fenced', what: `an operator declared ${host} dead, with ${nodes.join(', ')}` }]
      : [],
  );
}

function ofCordons(before: CordonFacts, after: CordonFacts): Line[] {
  const [earlier, present] = [before, after].map(({ cordons }) => Object.keys(cordons ?? {}));
  return [
    ...(present ?? [])
      .filter((host) => !earlier?.includes(host))
      .map((host): Line => ({ kind: 'cordoned', what: `${host} is closed to nodes` })),
    ...(earlier ?? [])
      .filter((host) => !present?.includes(host))
      .map((host): Line => ({ kind: 'uncordoned', what: `${host} is open to nodes again` })),
  ];
}

function ofTask(before: NodeTask | undefined, after: NodeTask | undefined): Line[] {
  if (after === undefined) {
    return before === undefined ? [] : [{ kind: 'ended', what: `${before.node} is no longer needed` }];
  }
  const { host, taskId, state, message } = after;
  if (before?.taskId !== taskId) {
    const from = before === undefined ? '' : `, after ${before.taskId} on ${before.host} (${before.state})`;
    return [{ kind: 'launched', what: `${taskId} is launched on ${host}${from}` }];
  }
  if (before.state === state) return [];
  const why = message === undefined || message === '' ? '' : `: ${ended(message)}`;
  const line = (kind: FrameworkEventKind, what: string): Line[] => [
    { kind, what: `${taskId} on ${host} ${what}` },
  ];
  const kind = kindOf(state);
  if (state === 'TASK_RUNNING') {
    return line('running', kindOf(before.state) === 'live' ? 'runs' : 'is running again');
  }
  if (kind === 'unreachable' || kind === 'unknown') return line('lost', `is lost (${state})${why}`);
  if (state === 'TASK_GONE') return line('fenced', `is fenced${why}`);
  if (kind === 'terminal') return line('ended', `has ended (${state})${why}`);
  return [];
}

function ended(text: string): string {
  return text.replace(/\.$/, '');
}

/** How many events are kept, and how many past tasks of each node. */
const eventsKept = 50;
const pastKept = 4;

/** The history that is kept. Newest first. */
export interface FrameworkHistory {
  readonly events?: readonly FrameworkEvent[];
  readonly past?: Readonly<Record<string, readonly PastTask[]>>;
}

/** The later state, with the changes since the earlier one added to its history. */
export function remember<T extends FrameworkObservation & FrameworkHistory>(
  before: T,
  after: T,
  at: string,
): T {
  const lines = happened(before, after);
  const past = withPast(before, after);
  if (lines.length === 0 && past === undefined) return after;
  const events = after.events ?? [];
  const seq = events[0]?.seq ?? 0;
  const fresh = lines.map((line, index) => ({ seq: seq + index + 1, at, ...line })).reverse();
  return {
    ...after,
    events: [...fresh, ...events].slice(0, eventsKept),
    ...(past === undefined ? {} : { past }),
  };
}

function withPast(
  before: FrameworkObservation,
  after: FrameworkObservation & FrameworkHistory,
): FrameworkHistory['past'] | undefined {
  const followed = Object.values(before.tasks).filter(
    ({ node, taskId }) => after.tasks[node] !== undefined && after.tasks[node].taskId !== taskId,
  );
  if (followed.length === 0) return undefined;
  const past = { ...after.past };
  for (const { node, taskId, host, state, message, since, startedAt } of followed) {
    const task: PastTask = {
      taskId,
      host,
      state,
      ...(message === undefined ? {} : { message }),
      since,
      ...(startedAt === undefined ? {} : { startedAt }),
    };
    past[node] = [task, ...(past[node] ?? [])].slice(0, pastKept);
  }
  return past;
}

/** For callers that need no history. */
export function withoutHistory<T extends FrameworkHistory>(state: T): Omit<T, keyof FrameworkHistory> {
  const { events, past, ...rest } = state;
  return rest;
}

const eventsInMemo = 10;

/** For the memo, whose size is limited: the newest events, and each node's task before the current one. */
export function compact<T extends FrameworkHistory>(state: T): T {
  const { events, past } = state;
  return {
    ...state,
    ...(events && { events: events.slice(0, eventsInMemo) }),
    ...(past && {
      past: Object.fromEntries(Object.entries(past).map(([node, tasks]) => [node, tasks.slice(0, 1)])),
    }),
  };
}
