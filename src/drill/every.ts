import { setTimeout as delay } from 'node:timers/promises';

/** Looks again and again, each time `pause` milliseconds after the look before began, until the signal aborts. */
export async function every(
  signal: AbortSignal,
  pause: number | (() => number),
  look: () => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    const startedAt = Date.now();
    await look().catch(() => undefined);
    const rest = startedAt + (typeof pause === 'number' ? pause : pause()) - Date.now();
    await delay(Math.max(0, rest), undefined, { signal }).catch(() => undefined);
  }
}
