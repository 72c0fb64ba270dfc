import { pause } from '../net/pause.js';

/** Runs repeatedly, each time `everyMs` milliseconds after the previous start, until the signal aborts. */
export async function every(
  signal: AbortSignal,
  everyMs: number | (() => number),
  task: () => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    const startedAt = Date.now();
    await task().catch(() => undefined);
    const rest = startedAt + (typeof everyMs === 'number' ? everyMs : everyMs()) - Date.now();
    await pause(Math.max(0, rest), signal);
  }
}
