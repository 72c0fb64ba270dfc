import { messageOf } from '../../errors/error.js';
import type { Leave, SchedulerDeps } from './deps.js';
import type { Roll } from './tasks.js';

export type LeavingStep =
  | { readonly kind: 'kill' }
  /** Store that its member leaves etcd, then call `retire`. */
  | { readonly kind: 'store' }
  /** Until this time, or until the bell rings. */
  | { readonly kind: 'wait'; readonly until: number };

interface Question {
  readonly taskId: string;
  readonly phase: 'vacate' | 'retire';
  /** Undefined while the request is open. */
  answer?: Leave & { readonly at: number };
  /** What it waited for when it was last asked. */
  readonly waitedFor?: string;
  /** Number of moves that failed in a row. */
  readonly failed: number;
}

/** Between two observations. */
const againMs = 2_000;
/** Between two moves, each of which is recorded in the keeper's history: doubled after each failure. */
const mostAgainMs = 60_000;

/**
 * What must happen before a healthy task is killed: the service moves to another node, and a node that is
 * removed for good leaves etcd. Requests run beside the scheduler's loop, which continues meanwhile.
 */
export class Leaving {
  #at: Question | undefined;

  /** @param bell rings when a request is answered */
  constructor(
    private readonly deps: Pick<SchedulerDeps, 'vacate' | 'retire' | 'logger'>,
    private readonly bell: () => void,
  ) {}

  /** The next step for the task; sends the request that it needs. */
  next(roll: Roll, now: number): LeavingStep {
    const at = this.#at;
    if (at?.taskId !== roll.taskId) return this.#ask(roll, 'vacate');
    if (at.answer === undefined) return { kind: 'wait', until: Infinity };
    if (at.answer.kind === 'waits') {
      const until = at.answer.at + Math.min(mostAgainMs, againMs * 2 ** at.failed);
      // Leadership may have returned to the node since.
      return now < until ? { kind: 'wait', until } : this.#ask(roll, at.phase);
    }
    return at.phase === 'retire' || !roll.leaves ? { kind: 'kill' } : { kind: 'store' };
  }

  /** Starts the removal of its member from etcd. */
  retire(roll: Roll): void {
    this.#ask(roll, 'retire');
  }

  /** What the task waits for; while it is asked again, what it waited for before. */
  note(taskId: string | undefined): readonly string[] {
    const at = this.#at;
    if (taskId === undefined || at?.taskId !== taskId) return [];
    if (at.answer === undefined) return at.waitedFor === undefined ? [] : [at.waitedFor];
    return at.answer.kind === 'waits' ? [at.answer.why] : [];
  }

  #ask(roll: Roll, phase: 'vacate' | 'retire'): LeavingStep {
    const { taskId, node } = roll;
    const before = this.#at?.taskId === taskId && this.#at.phase === phase ? this.#at : undefined;
    const waitedFor = before?.answer?.kind === 'waits' ? before.answer.why : undefined;
    const hasFailed = before?.answer?.kind === 'waits' && before.answer.moveFailed === true;
    const at: Question = {
      ...{ taskId, phase, failed: hasFailed ? before.failed + 1 : 0 },
      ...(waitedFor !== undefined && { waitedFor }),
    };
    this.#at = at;
    const { vacate, retire, logger } = this.deps;
    const question = phase === 'vacate' ? vacate(node, roll.leaves) : retire({ node, taskId });
    void question
      .catch((error: unknown): Leave => ({ kind: 'waits', why: `${node} stays: ${messageOf(error)}` }))
      .then((answer) => {
        const isNews = answer.kind === 'done' || waitedFor !== answer.why;
        if (isNews) logger.info({ taskId, phase, answer }, 'removing a node');
        at.answer = { ...answer, at: Date.now() };
        this.bell();
      });
    return { kind: 'wait', until: Infinity };
  }
}
