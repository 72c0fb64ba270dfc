/**
 * Resolves when the signal aborts; at once when it has already. What waits for it leaves calls to Temporal behind:
 * those that may take long are made with `withAbortSignal`, for a connection that is closed lets them go on, and a
 * long poll would hold the process for up to 20 s.
 */
export function aborted(signal: AbortSignal): Promise<'aborted'> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve('aborted');
    else signal.addEventListener('abort', () => resolve('aborted'), { once: true });
  });
}
