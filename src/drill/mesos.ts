/**
 * Mesos in drills: observations, the events between two of them, what a drill still waits for, and
 * invariants. Pure: imported by the workflow.
 */
import { leaderOf } from '../mesos/masters/agreement.js';
import { timed } from '../hosts/kept-lines.js';
import type { Expectation } from './definition.js';
import type { DrillEvent, Invariant } from './evidence.js';

export interface MesosTask {
  readonly id: string;
  readonly agentId: string;
  readonly state: string;
}

export interface MesosAgent {
  readonly id: string;
  /** Last registration by the master's clock: seconds since the epoch. */
  readonly since: number;
  /** It is connected to the master. */
  readonly active: boolean;
}

/** What the leading master reports. */
export interface MesosState {
  /** By host; absent if not registered. */
  readonly agents: Readonly<Record<string, MesosAgent>>;
  /** The framework is subscribed. */
  readonly connected: boolean;
  /** By node, for all nodes: unfinished tasks of the framework, unreachable ones included. */
  readonly tasks: Readonly<Record<string, readonly MesosTask[]>>;
}

export interface MesosObservation {
  /**
   * By host: the leader according to this master; null when it knows none; absent when it does not answer.
   */
  readonly masters: Readonly<Record<string, string | null>>;
  /** Absent while no master leads with its registry read. */
  readonly state?: MesosState;
}

function tasksOn({ tasks }: MesosState, agentId: string | undefined): readonly MesosTask[] {
  return Object.values(tasks)
    .flat()
    .filter((task) => task.agentId === agentId);
}

// --- events -----------------------------------------------------------------------------------------------

/** An elected leader serves once it has read its registry; a killed one is named until its session ends. */
export function servingLeader({ masters, state }: MesosObservation): string | undefined {
  return state && leaderOf(masters);
}

export type MesosEvent = Pick<DrillEvent, 'kind' | 'what'> & { readonly subject?: string };

/**
 * Human-readable events between two observations.
 *
 * @param reported the host last reported as leader; absent: no leader was reported
 */
export function mesosEvents(
  before: MesosObservation,
  now: MesosObservation,
  reported: string | undefined,
): MesosEvent[] {
  const leader = servingLeader(now);
  const events: MesosEvent[] = [];
  const add = (kind: MesosEvent['kind'], subject: string, what: string) =>
    events.push({ kind, subject, what });

  for (const host of new Set([...Object.keys(before.masters), ...Object.keys(now.masters)])) {
    const [was, is] = [before.masters[host], now.masters[host]];
    if (is === undefined && was !== undefined) {
      add('master-silent', host, `the master on ${host} no longer responds`);
    } else if (is !== undefined && is !== null && is !== host && (was ?? host) === host) {
      add('master', host, `the master on ${host} follows ${is}`);
    }
  }
  if (leader !== undefined && leader !== reported) add('mesos-leader', leader, `${leader} leads Mesos`);
  if (leader === undefined && reported !== undefined) {
    events.push({ kind: 'mesos-no-leader', what: 'no Mesos master is leading' });
  }
  return [...events, ...agentEvents(before, now)];
}

function agentEvents(before: MesosObservation, { state }: MesosObservation): MesosEvent[] {
  if (!state) return [];
  const old = before.state;
  return [...new Set([...Object.keys(old?.agents ?? {}), ...Object.keys(state.agents)])].flatMap(
    (host): MesosEvent[] => {
      const [was, is] = [old?.agents[host], state.agents[host]];
      const event = (kind: MesosEvent['kind'], what: string) => [{ kind, subject: host, what }];
      if (is?.active === true) {
        if (was?.active === true && was.since === is.since) return [];
        return event('agent', `the agent on ${host} is registered (${is.id})`);
      }
      if (is !== undefined) {
        return was?.active === true ? event('agent-lost', `the agent on ${host} is disconnected`) : [];
      }
      const lost = tasksOn(state, was?.id);
      if (was === undefined || !lost.some((task) => task.state === 'TASK_UNREACHABLE')) return [];
      const count = `${lost.length} ${lost.length === 1 ? 'task' : 'tasks'}`;
      return event('agent-lost', `the master marked the agent on ${host} unreachable: ${count}`);
    },
  );
}

/**
 * The observation to compare the next one with: an agent that has vanished before its tasks were marked stays in it until
 * they are, so that this is reported, too.
 */
export function withVanishing(before: MesosState | undefined, now: MesosState): MesosState {
  const vanishing = Object.entries(before?.agents ?? {}).filter(
    ([host, { id }]) =>
      now.agents[host] === undefined &&
      tasksOn(now, id).length > 0 &&
      !tasksOn(now, id).some(({ state }) => state === 'TASK_UNREACHABLE'),
  );
  return { ...now, agents: { ...Object.fromEntries(vanishing), ...now.agents } };
}

// --- recovery ---------------------------------------------------------------------------------------------

/**
 * Fencing starts within this time after tasks become unreachable; by then it would have ended a node by
 * mistake.
 */
const fencingMs = 15_000;

/** Drills of Mesos itself. */
export function isOfMesos(expects: Expectation): boolean {
  return ['master-moves', 'agent-back', 'agent-unreachable'].includes(expects);
}

export interface MesosExpectation {
  readonly expects: Expectation;
  /** Host of the target master or agent. */
  readonly host: string;
  readonly before: MesosObservation;
}

/**
 * What is missing for the target's recovery, as a sentence; undefined when nothing is.
 *
 * @param steadyMs time since the last event in Mesos
 */
export function missingForMesos(
  expectation: MesosExpectation,
  now: MesosObservation,
  steadyMs: number,
): string | undefined {
  const { expects, host, before } = expectation;
  if (!isOfMesos(expects)) return undefined;
  const leader = leaderOf(now.masters);
  if (leader === undefined) return 'no Mesos master is leading';
  if (expects === 'master-moves' && leader === leaderOf(before.masters)) return `${leader} still leads Mesos`;
  const { state } = now;
  if (!state) return `${leader} leads Mesos but has not recovered its registry yet`;
  if (expects === 'agent-unreachable') return whileUnreachable(host, before, state, steadyMs);
  const away = Object.keys(before.state?.agents ?? {}).filter((each) => state.agents[each]?.active !== true);
  if (away.length > 0) return `agents not registered: ${away.join(', ')}`;
  if (!state.connected) return 'the framework is not subscribed';
  const old = before.state?.agents[host];
  if (expects === 'agent-back' && old?.since === state.agents[host]?.since) {
    return `the agent on ${host} has not restarted yet`;
  }
  return undefined;
}

function whileUnreachable(
  host: string,
  before: MesosObservation,
  state: MesosState,
  steadyMs: number,
): string | undefined {
  if (state.agents[host]) return `the agent on ${host} is not marked unreachable yet`;
  const reachable = tasksOn(state, before.state?.agents[host]?.id).filter(
    (task) => task.state !== 'TASK_UNREACHABLE',
  );
  if (reachable.length > 0)
    return `tasks that are not unreachable: ${reachable.map(({ id }) => id).join(', ')}`;
  return steadyMs < fencingMs ? 'still watching whether fencing leaves the nodes alone' : undefined;
}

// --- invariants -------------------------------------------------------------------------------------------

/** A master that was suspended and resumed. */
export interface FormerLeader {
  /** That exact process is gone. */
  readonly ended: boolean;
  /** What it last logged about its leadership. */
  readonly words?: string;
}

const held = (name: Invariant['name'], what: string): Invariant => ({ name, holds: true, what });
const broken = (name: Invariant['name'], what: string): Invariant => ({ name, holds: false, what });

/** One master leads, the others follow it, and all agents and the framework are connected to it. */
export function mesosOf(observation: MesosObservation | undefined): Invariant {
  if (!observation) return broken('mesos', 'no Mesos master tells of itself');
  const { masters, state } = observation;
  const leader = leaderOf(masters);
  if (leader === undefined) return broken('mesos', 'no Mesos master is leading');
  const astray = Object.entries(masters).filter(([, named]) => named !== leader);
  if (astray.length > 0) {
    const each = astray.map(([host, named]) => `${host} follows ${named ?? 'nobody'}`);
    return broken('mesos', `${leader} leads Mesos, but ${each.join(', ')}`);
  }
  if (!state) return broken('mesos', `${leader} leads Mesos but has not recovered its registry`);
  const away = Object.keys(state.agents).filter((host) => state.agents[host]?.active !== true);
  if (away.length > 0) return broken('mesos', `agents not registered: ${away.join(', ')}`);
  if (!state.connected) return broken('mesos', 'the framework is not subscribed');
  const counts = [Object.keys(masters).length, Object.keys(state.agents).length];
  return held('mesos', `${leader} leads Mesos: ${counts[0]} masters, ${counts[1]} agents`);
}

/** Every agent and every node's task are the same as before. */
export function keptTasks(
  before: MesosObservation | undefined,
  observation: MesosObservation | undefined,
): Invariant {
  const [old, now] = [before?.state, observation?.state];
  if (!old || !now) return broken('tasks', 'no Mesos master reports the tasks');
  const strange = Object.keys(old.agents).filter((host) => now.agents[host]?.id !== old.agents[host]?.id);
  if (strange.length > 0) {
    const each = strange.map((host) => `${host} was ${old.agents[host]?.id}, is ${now.agents[host]?.id}`);
    return broken('tasks', `agents with a new ID: ${each.join('; ')}`);
  }
  const names = (tasks: readonly MesosTask[] = []) => tasks.map(({ id }) => id).join(', ') || 'nothing';
  const other = Object.keys(old.tasks).filter((node) => names(old.tasks[node]) !== names(now.tasks[node]));
  if (other.length > 0) {
    const each = other.map((node) => `${node} was ${names(old.tasks[node])}, is ${names(now.tasks[node])}`);
    return broken('tasks', `relaunched nodes: ${each.join('; ')}`);
  }
  const away = Object.values(now.tasks)
    .flat()
    .filter(({ state }) => state !== 'TASK_RUNNING');
  return away.length > 0
    ? broken('tasks', `not running: ${away.map(({ id, state }) => `${id} (${state})`).join(', ')}`)
    : held('tasks', `the same ${Object.keys(old.tasks).length} tasks run on the same agents as before`);
}

/** A master that lost leadership while suspended must notice, exit, and follow once restarted. */
export function followsOf(
  former: FormerLeader | undefined,
  observation: MesosObservation | undefined,
  host: string,
): Invariant {
  if (!former) return broken('master', `the old master on ${host} cannot be observed`);
  const { ended, words } = former;
  const leader = observation && leaderOf(observation.masters);
  if (!ended) {
    return leader === host
      ? held('master', `${host} was not replaced and still leads Mesos`)
      : broken('master', `the master on ${host} did not exit, and ${leader ?? 'no master'} leads`);
  }
  if (words === undefined)
    return broken('master', `the old master on ${host} exited without logging a reason`);
  const named = observation?.masters[host];
  return named !== undefined && named !== null && named !== host
    ? held(
        'master',
        `the old master on ${host} logged "${words}" and exited; after its restart it follows ${named}`,
      )
    : broken('master', `the old master on ${host} logged "${words}" and exited; it follows no master`);
}

/**
 * A master's log message about losing its leadership: the newest line of its log not older than `clockMs`;
 * undefined if there is none. Reads the formats of svlogd and journald, each line with its time. Mesos writes no newline
 * after it, so the next message, of its ZooKeeper client or of glog, may follow in the same line.
 */
export function lastWordsIn(log: string, clockMs: number): string | undefined {
  return log
    .split('\n')
    .flatMap((line) => {
      const { at, text } = timed(line);
      const [words] =
        /^Lost leadership\.\.\..*?(?=\d{4}-\d\d-\d\d \d\d:|[IWEF]\d{4} \d\d:|$)/.exec(text) ?? [];
      return words !== undefined && at >= clockMs ? [words] : [];
    })
    .at(-1);
}
