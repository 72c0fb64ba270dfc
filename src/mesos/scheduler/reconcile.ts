import { pauseAfter, type BackOff } from '../../net/back-off.js';
import { kindOf, type NodeTask, type TaskState } from './tasks.js';

/** All tasks are reconciled again after this many milliseconds, explicitly and implicitly. */
export const reconcileEveryMs = 15 * 60_000;
const backOff: BackOff = { firstMs: 1_000, longestMs: 30_000 };

interface Question {
  readonly times: number;
  readonly nextAt: number;
}

export interface ReconcileCall {
  /** Tasks to reconcile by name; empty for none. */
  readonly explicit: readonly NodeTask[];
  /** Also request all tasks that Mesos has, which finds tasks that are in no table. */
  readonly implicit: boolean;
}

/**
 * What a scheduler asks Mesos about its tasks, and when: the algorithm of Mesos' "Task Reconciliation"
 * document. All tasks that are not terminal are asked for after each subscription and every 15 minutes; those
 * without an answer again, with truncated exponential back-off (1 s to 30 s). A task that is unreachable or
 * unknown is asked for every 30 s: a master need not report when its agent is back.
 *
 * One instance per subscription. It does no I/O; all times are milliseconds since the epoch.
 */
export class Reconciliation {
  readonly #questions = new Map<string, Question>();
  #roundAt: number;

  constructor(now: number) {
    this.#roundAt = now;
  }

  /** A task was launched on this subscription: it is asked for only after 30 s without an update. */
  launched(taskId: string, now: number): void {
    this.#questions.set(taskId, { times: 0, nextAt: now + backOff.longestMs });
  }

  /** A state of the task was received, in whatever way. */
  heard(taskId: string, state: TaskState, now: number): void {
    const kind = kindOf(state);
    if (kind === 'unreachable' || kind === 'unknown') {
      this.#questions.set(taskId, { times: 0, nextAt: now + backOff.longestMs });
    } else {
      this.#questions.delete(taskId);
    }
  }

  /** What to ask now. The caller sends it; what stays unanswered is asked for again later. */
  due(tasks: Readonly<Record<string, NodeTask>>, now: number): ReconcileCall {
    const open = new Map(
      Object.values(tasks).flatMap((task) =>
        kindOf(task.state) === 'terminal' ? [] : [[task.taskId, task]],
      ),
    );
    for (const taskId of this.#questions.keys()) {
      if (!open.has(taskId)) this.#questions.delete(taskId);
    }
    const implicit = now >= this.#roundAt;
    if (implicit) {
      this.#roundAt = now + reconcileEveryMs;
      for (const taskId of open.keys()) this.#questions.set(taskId, { times: 0, nextAt: now });
    }
    const explicit: NodeTask[] = [];
    for (const [taskId, task] of open) {
      const question = this.#questions.get(taskId);
      if (question === undefined || question.nextAt > now) continue;
      explicit.push(task);
      const times = question.times + 1;
      this.#questions.set(taskId, { times, nextAt: now + pauseAfter(times, backOff) });
    }
    return { explicit, implicit };
  }

  /** When `due` next has a request. */
  get wakeAt(): number {
    return Math.min(this.#roundAt, ...[...this.#questions.values()].map(({ nextAt }) => nextAt));
  }
}
