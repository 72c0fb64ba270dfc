import { setMaxListeners } from 'node:events';

/** What may abort a part of the work, beside that which may abort all of it. */
export interface Scope {
  /** Any number of calls may listen to it at once. */
  readonly signal: AbortSignal;
  /** Aborts it, and ends the scope. */
  readonly abort: (reason?: unknown) => void;
  /** Leaves the signal as it is, and leaves nothing at the one that was given. */
  readonly end: () => void;
}

/**
 * A signal that aborts with any of the given ones, for the same reason, or by `abort`. Call one of `abort` and `end` when
 * the work is over: a given signal may last as long as this process, and whatever stays at it stays as long. So it is
 * with what `AbortSignal.any` makes, in Node.js 20.
 */
export function scope(...given: readonly (AbortSignal | undefined)[]): Scope {
  const own = new AbortController();
  setMaxListeners(0, own.signal);
  const signals = given.filter((signal) => signal !== undefined);
  const follow = () => own.abort(signals.find(({ aborted }) => aborted)?.reason);
  const end = () => signals.forEach((signal) => signal.removeEventListener('abort', follow));
  for (const signal of signals) signal.addEventListener('abort', follow, { once: true });
  if (signals.some(({ aborted }) => aborted)) follow();
  return {
    signal: own.signal,
    abort: (reason) => {
      end();
      own.abort(reason);
    },
    end,
  };
}
