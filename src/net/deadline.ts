import type { Duplex } from 'node:stream';

/**
 * A signal that aborts after `ms`, for `AbortSignal.any`. Unlike `AbortSignal.timeout`, it is not
 * garbage-collected when nothing else references it, which in Node.js 20 prevents the abort.
 */
export function deadlineAfter(ms: number): AbortSignal {
  const over = new AbortController();
  setTimeout(() => over.abort(tooLate()), ms).unref();
  return over.signal;
}

function tooLate(): DOMException {
  return new DOMException('too late', 'TimeoutError');
}

/** A time limit for work that is repeated under one signal. */
export interface Limit {
  /** Aborts when the time is over, or with the given signal. */
  readonly signal: AbortSignal;
  /** Whether the time is over. */
  readonly passed: boolean;
  /** Must be called: removes the listener on the given signal. (`AbortSignal.any` would leave its own.) */
  end(): void;
}

export function limit(ms: number, signal?: AbortSignal): Limit {
  const over = new AbortController();
  const end = () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', give);
  };
  const give = () => over.abort(signal?.reason);
  const late = tooLate();
  const timer = setTimeout(() => over.abort(late), ms);
  timer.unref();
  signal?.addEventListener('abort', give, { once: true });
  if (signal?.aborted === true) give();
  return {
    signal: over.signal,
    get passed() {
      return over.signal.reason === late;
    },
    end,
  };
}

/**
 * The promise's outcome, or the error of `tooLong` if it does not settle within `ms`. The work behind the
 * promise continues; `dispose` receives a value that arrives too late.
 */
export function within<T>(
  ms: number,
  promise: Promise<T>,
  tooLong: () => Error,
  dispose?: (value: T) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      reject(tooLong());
    }, ms);
    promise.then(
      (value) => {
        clearTimeout(timer);
        if (late) dispose?.(value);
        else resolve(value);
      },
      (error: Error) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}

/** The stream, or the error of `tooLong` after `ms`; a stream that arrives too late is destroyed. */
export function dialledWithin<S extends Duplex>(
  ms: number,
  dialling: Promise<S>,
  tooLong: () => Error,
): Promise<S> {
  return within(ms, dialling, tooLong, (stream) => stream.destroy());
}
