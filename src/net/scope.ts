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
 * A signal that aborts with the given one, for the same reason, or by `abort`. Call one of `abort` and `end` when the
 * work is over: the given signal may last as long as this process, and whatever stays at it stays as long. So it is
 * with what `AbortSignal.any` makes, in Node.js 20.
 */
export function scope(given?: AbortSignal): Scope {
  const own = new AbortController();
  setMaxListeners(0, own.signal);
  const follow = () => own.abort(given?.reason);
  const end = () => given?.removeEventListener('abort', follow);
  given?.addEventListener('abort', follow, { once: true });
  if (given?.aborted === true) follow();
  return {
    signal: own.signal,
    abort: (reason) => {
      end();
      own.abort(reason);
    },
    end,
  };
}
