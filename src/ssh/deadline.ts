/**
 * A signal that aborts after so many milliseconds, for `AbortSignal.any`. The one of `AbortSignal.timeout` will not
 * do there: with Node.js 20 it is collected as garbage when nothing else holds it, and never aborts.
 */
export function deadlineAfter(ms: number): AbortSignal {
  const over = new AbortController();
  setTimeout(() => over.abort(new DOMException('too late', 'TimeoutError')), ms).unref();
  return over.signal;
}
