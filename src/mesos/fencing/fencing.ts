/**
 * When to give up a task whose state Mesos does not know: never while it may still run, because two nodes
 * would then have one address. Pure: one scheduler's memory of the answers, and the decision.
 */
import { pauseAfter, type BackOff } from '../../net/back-off.js';
import type { FenceAnswer } from '../../node/fence.js';
import { mayBeLost, taskOf, type FenceOutcome, type FenceTable, type PresumedTask } from './fences.js';
import { kindOf, type NodeTask, type TaskState } from '../scheduler/tasks.js';

/** `works`: the node takes part in etcd. */
export type TaskObservation = FenceAnswer | { readonly kind: 'works' } | { readonly kind: 'down' };

export interface FenceQuestion extends PresumedTask {
  /** `look`: check whether the node works. `end`: check, and end it if it does not. `end-anyway`: end it. */
  readonly what: 'look' | 'end' | 'end-anyway';
}

const backOff: BackOff = { firstMs: 1_000, longestMs: 15_000 };
/** A working node is only checked. */
const workingDelayMs = 5_000;
/** A node is ended when it has not worked for this long, more than an election or a brief network failure. */
export const patienceMs = 5_000;
/** Answers further apart prove nothing about the time between them: the worker was stopped, or cut off. */
export const longestGapMs = 90_000;

/** Agents need some seconds to find a new master, however short the configured patience of masters. */
const leastAgentMs = 10_000;

interface Case {
  /** When the open request was sent. */
  askedAt?: number;
  nextAt: number;
  times: number;
  answeredAt?: number;
  last?: TaskObservation;
  /** Since when it has not worked. */
  downSince?: number;
  /** Since when neither the host nor the node has responded. */
  silentSince?: number;
  /** When this scheduler learned that an operator has declared the host dead. */
  condemnedAt?: number;
  /** When the last answered request was sent. */
  answeredFor?: number;
}

export interface FencingTimes {
  /** Silence for this long counts as death; undefined: no silence does. */
  readonly afterMs: number | undefined;
  /** How long a master waits for an agent before it gives it up. */
  readonly agentMs: number;
}

/**
 * What a scheduler asks about tasks that may be lost, and what it concludes from the answers. One instance
 * for all subscriptions of a scheduler; another scheduler begins anew. It does no I/O; all times are
 * milliseconds since the epoch.
 *
 * - A node that works is left alone, whatever became of its agent: ending it would only do harm.
 * - A node that does not work is ended by its host, over SSH, and given up when the host confirms it.
 * - A node whose host and address are silent is given up after `afterMs`, if Mesos has not heard from the
 *   agent for as long; and at once when an operator declares the host dead.
 * - A host that responds but cannot confirm keeps its node, unless an operator declares it dead; a node that
 *   responds at its address is kept in any case.
 */
export class Fencing {
  readonly #afterMs: number | undefined;
  readonly #agentMs: number;
  readonly #cases = new Map<string, Case>();
  #subscribedAt = 0;
  /** What Mesos reported on this subscription: whether a task may be lost. */
  #heard = new Map<string, boolean>();

  constructor({ afterMs, agentMs }: FencingTimes) {
    this.#afterMs = afterMs;
    this.#agentMs = Math.max(leastAgentMs, agentMs);
  }

  /** A new subscription: what the previous master reported does not count. */
  subscribed(now: number): void {
    this.#subscribedAt = now;
    this.#heard = new Map();
  }

  /** Mesos reported a state of the task, or it was launched. */
  heard(taskId: string, state: TaskState): void {
    this.#heard.set(taskId, mayBeLost({ state }));
  }

  /**
   * Tasks that were last reported alive, and about which this master reports nothing though it was asked:
   * their agents have not registered with it. It would report them unreachable only after ten minutes (at the
   * least: that is the smallest `agent_reregister_timeout`), and a host may well have gone down together with
   * the previous master. Intents are not included: only Mesos knows what became of them.
   */
  missing(table: FenceTable, now: number): NodeTask[] {
    return now < this.#missingAt ? [] : this.#unheard(table);
  }

  #unheard(table: FenceTable): NodeTask[] {
    return Object.values(table.tasks).filter(
      ({ taskId, state }) => kindOf(state) === 'live' && state !== 'INTENDED' && !this.#heard.has(taskId),
    );
  }

  get #missingAt(): number {
    return this.#subscribedAt + this.#agentMs;
  }

  /** What to ask now. Each request must be answered, by `answered`, before it is due again. */
  due(table: FenceTable, now: number): FenceQuestion[] {
    const open = new Map<string, PresumedTask & { readonly waits: boolean }>();
    for (const { node, taskId, host } of table.presumed ?? []) {
      const present = taskOf(table, taskId);
      if (present === undefined || kindOf(present.state) === 'terminal') {
        open.set(taskId, { node, taskId, host, waits: false });
      }
    }
    for (const task of Object.values(table.tasks)) {
      const { node, taskId, host } = task;
      if (mayBeLost(task)) open.set(taskId, { node, taskId, host, waits: true });
    }
    for (const taskId of this.#cases.keys()) if (!open.has(taskId)) this.#cases.delete(taskId);

    const questions: FenceQuestion[] = [];
    for (const { waits, ...task } of open.values()) {
      const known = this.#cases.get(task.taskId) ?? { nextAt: now, times: 0 };
      this.#cases.set(task.taskId, known);
      const condemned = waits && table.fences?.[task.host] !== undefined;
      if (!condemned) delete known.condemnedAt;
      else if (known.condemnedAt === undefined) {
        known.condemnedAt = now;
        known.nextAt = now;
      }
      if (known.askedAt !== undefined || known.nextAt > now) continue;
      known.askedAt = now;
      const isDown = known.downSince !== undefined && now - known.downSince >= patienceMs;
      questions.push({ ...task, what: condemned || !waits ? 'end-anyway' : isDown ? 'end' : 'look' });
    }
    return questions;
  }

  answered(taskId: string, answer: TaskObservation, now: number): void {
    const known = this.#cases.get(taskId);
    if (known === undefined) return;
    if (known.askedAt !== undefined) known.answeredFor = known.askedAt;
    delete known.askedAt;
    if (known.answeredAt !== undefined && now - known.answeredAt > longestGapMs) {
      delete known.downSince;
      delete known.silentSince;
    }
    known.answeredAt = now;
    // The first of several answers of one kind keeps its reason, so that the reported note does not change.
    if (known.last?.kind !== answer.kind) known.last = answer;
    if (answer.kind === 'works') delete known.downSince;
    else known.downSince ??= now;
    // Whether a node works says nothing about its host.
    if (answer.kind === 'silent') known.silentSince ??= now;
    else if (answer.kind !== 'down') delete known.silentSince;
    const settled = answer.kind === 'works' || answer.kind === 'down';
    known.times = settled ? 0 : known.times + 1;
    const delayMs = pauseAfter(Math.max(1, known.times), backOff);
    known.nextAt = now + (answer.kind === 'works' ? workingDelayMs : delayMs);
    // It was sent before the operator's declaration, so another request, to end the node, is due now.
    if (known.condemnedAt !== undefined && !isAskedSince(known, known.condemnedAt)) known.nextAt = now;
  }

  /** The tasks that can be given up by what is known now. Storing the outcomes changes their state. */
  outcomes(table: FenceTable, now: number): FenceOutcome[] {
    return [...this.#cases].flatMap(([taskId, known]): FenceOutcome[] => {
      const { last } = known;
      const host =
        taskOf(table, taskId)?.host ?? table.presumed?.find((each) => each.taskId === taskId)?.host ?? '';
      if (last?.kind === 'gone') {
        return [{ taskId, how: 'ended', message: `fenced: none of its processes run on ${host} any longer` }];
      }
      const task = taskOf(table, taskId);
      if (task === undefined || !mayBeLost(task)) return [];
      const presumed = (why: string): FenceOutcome[] => [
        { taskId, how: 'presumed', message: `fenced: ${why}` },
      ];
      const { condemnedAt } = known;
      const isCondemned = condemnedAt !== undefined && isAskedSince(known, condemnedAt);
      if (isCondemned && (last?.kind === 'silent' || last?.kind === 'unclear')) {
        return presumed(`an operator declared ${host} dead`);
      }
      const at = this.#presumedDeadAt(task);
      // An agent that has not registered with this master in the time it has for that is missing, too.
      const isMissed = this.#heard.get(taskId) ?? now >= this.#missingAt;
      if (at === undefined || (known.answeredAt ?? 0) < at || !isMissed) return [];
      return presumed(`neither the agent nor SSH on ${host} nor the node responded any longer`);
    });
  }

  /** For operators: what is known about a task that its node waits for, and until when. */
  note(task: NodeTask): string | undefined {
    const { host, node } = task;
    const known = this.#cases.get(task.taskId);
    const remedy = `run \`perijove fence ${host}\` if the host is dead`;
    switch (known?.last?.kind) {
      case undefined:
      case 'gone':
        return undefined;
      case 'works':
        return 'the node works, so it is left running';
      case 'down':
        return `the node does not respond, so Perijove stops it on ${host}`;
      case 'alive':
        return `${host} does not respond to SSH (${known.last.why}), but ${node} responds at its address`;
      case 'unclear':
        return `${host} cannot confirm that it has ended (${known.last.why}); ${remedy}`;
      case 'silent': {
        const at = this.#presumedDeadAt(task);
        const end =
          at === undefined
            ? remedy
            : `it is declared dead at ${new Date(at).toISOString()}; to do so earlier, ${remedy}`;
        return `${host} has not responded to SSH either since ${new Date(known.silentSince ?? 0).toISOString()} (${known.last.why}); ${end}`;
      }
    }
  }

  /** When `due` or `missing` next has a result. */
  wakeAt(table: FenceTable): number {
    const open = [...this.#cases.values()].filter(({ askedAt }) => askedAt === undefined);
    const missingAt = this.#unheard(table).length === 0 ? Infinity : this.#missingAt;
    return Math.min(missingAt, ...open.map(({ nextAt }) => nextAt));
  }

  #presumedDeadAt({ taskId, since }: NodeTask): number | undefined {
    const { silentSince } = this.#cases.get(taskId) ?? {};
    if (this.#afterMs === undefined || silentSince === undefined) return undefined;
    return Math.max(silentSince, Date.parse(since)) + this.#afterMs;
  }
}

function isAskedSince({ answeredFor }: Case, at: number): boolean {
  return answeredFor !== undefined && answeredFor >= at;
}
