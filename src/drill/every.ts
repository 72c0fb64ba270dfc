import { pause } from '../net/pause.js';

/** Looks again and again, each time `everyMs` milliseconds after the look before began, until the signal aborts. */
export async function every(
  signal: AbortSignal,
  everyMs: number | (() => number),
  look: () => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    const startedAt = Date.now();
    await look().catch(() => undefined);
    const rest = startedAt + (typeof everyMs === 'number' ? everyMs : everyMs()) - Date.now();
    await pause(Math.max(0, rest), signal);
  }
}
