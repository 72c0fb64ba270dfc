import type { Duplex } from 'node:stream';
import { scope } from './scope.js';

/** A time limit for work that is repeated under one signal. */
export interface Limit {
  /** Aborts when the time is over, or with the given signal. */
  readonly signal: AbortSignal;
  /** Whether the time is over. */
  readonly passed: boolean;
  /** Must be called: nothing of it stays at the signal that was given. */
  end(): void;
}

export function limit(ms: number, signal?: AbortSignal): Limit {
  const over = scope(signal);
  const late = new DOMException('too late', 'TimeoutError');
  const timer = setTimeout(() => over.abort(late), ms);
  timer.unref();
  return {
    signal: over.signal,
    get passed() {
      return over.signal.reason === late;
    },
    end: () => {
      clearTimeout(timer);
      over.end();
    },
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
