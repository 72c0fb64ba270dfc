import { setTimeout as delay } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { PerijoveError } from '../errors/error.js';

export interface PollOptions {
  readonly everyMs?: number;
  readonly deadlineMs?: number;
}

/** Result of one observation: `done`, or why not yet. */
export type PollResult<T> = { readonly done: T } | { readonly not: PerijoveError };

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
  let reported: string | undefined;
  const end = performance.now() + deadlineMs;
  for (;;) {
    signal.throwIfAborted();
    const found = await observe();
    if ('done' in found) return found.done;
    if (performance.now() > end) throw found.not;
    if (reported !== found.not.message) {
      reported = found.not.message;
      context.heartbeat(reported);
    }
    await delay(everyMs, undefined, { signal });
  }
}
