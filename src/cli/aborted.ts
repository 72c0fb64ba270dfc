/**
 * Resolves when the signal aborts; at once when it already has. To race it against a call to Temporal, make
 * that call with `withAbortSignal`: closing a connection does not end its calls, and a long poll would hold
 * the process for up to 20 s.
 */
export function aborted(signal: AbortSignal): Promise<'aborted'> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve('aborted');
    else signal.addEventListener('abort', () => resolve('aborted'), { once: true });
  });
}
