import { setTimeout as delay } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { PerijoveError } from '../errors/error.js';

export interface PollOptions {
  readonly everyMs?: number;
  readonly deadlineMs?: number;
}

/** Result of one observation: `done`, or why not yet. */
export type PollResult<T> = { readonly done: T } | { readonly not: PerijoveError };

/** Nothing that is asked again and again is asked less often. */
const slowestMs = 1_000;

/**
 * The pauses of a loop that asks until it gets the answer it waits for: at first `everyMs`, then longer while the answer
 * remains the same, up to a second, so that many who wait leave a slow machine to those who work.
 */
export function pauses(everyMs: number): (answer: string) => number {
  let last: string | undefined;
  let pauseMs = everyMs;
  return (answer) => {
    pauseMs = answer === last ? Math.min(pauseMs * 1.25, Math.max(everyMs, slowestMs)) : everyMs;
    last = answer;
    return pauseMs;
  };
}

/**
 * Observes repeatedly until the result is `done`; meanwhile the activity's heartbeats report why not yet.
 *
 * @throws the last observation's error when the deadline (two minutes by default) has passed, the
 * cancellation of the activity, and at once what an observation throws
 */
export async function until<T>(
  observe: () => Promise<PollResult<T>>,
  { everyMs = 200, deadlineMs = 120_000 }: PollOptions = {},
): Promise<T> {
  const context = Context.current();
  const { cancellationSignal: signal } = context;
  const end = performance.now() + deadlineMs;
  const pauseAfter = pauses(everyMs);
  for (;;) {
    signal.throwIfAborted();
    const found = await observe();
    if ('done' in found) return found.done;
    if (performance.now() > end) throw found.not;
    // Each time: a question within the look may have reported what it waited for.
    context.heartbeat(found.not.message);
    await delay(pauseAfter(found.not.message), undefined, { signal });
  }
}
