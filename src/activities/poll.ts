import { setTimeout as delay } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { PerijoveError } from '../errors/error.js';

export interface PollOptions {
  readonly everyMs?: number;
  readonly deadlineMs?: number;
}

/** What one look found: `done`, or why not yet. */
export type Look<T> = { readonly done: T } | { readonly not: PerijoveError };

/**
 * Looks again and again until it finds what it looks for; meanwhile the heartbeats of the activity say why not
 * yet.
 *
 * @throws the last look's error when the deadline (two minutes by default) has passed, the cancellation of the
 *   activity, and what a look throws, at once
 */
export async function until<T>(
  look: () => Promise<Look<T>>,
  { everyMs = 200, deadlineMs = 120_000 }: PollOptions = {},
): Promise<T> {
  const context = Context.current();
  const { cancellationSignal: signal } = context;
  let said: string | undefined;
  const end = performance.now() + deadlineMs;
  for (;;) {
    signal.throwIfAborted();
    const found = await look();
    if ('done' in found) return found.done;
    if (performance.now() > end) throw found.not;
    if (said !== found.not.message) {
      said = found.not.message;
      context.heartbeat(said);
    }
    await delay(everyMs, undefined, { signal });
  }
}
