import { setTimeout as delay } from 'node:timers/promises';
import type { Endpoint } from '../../ssh/connection.js';
import { abortable } from '../../net/abortable.js';
import { limit } from '../../net/deadline.js';
import { discard, httpRequest } from '../../net/http.js';
import { pause } from '../../net/pause.js';

/** Between two requests that were answered. */
const everyMs = 1_000;
/** For one request; also the least time between two that failed, however soon they did. */
const deadlineMs = 1_200;
/** After this many failed requests in a row, the master is gone, hangs, or is cut off from this worker. */
export const silentAfter = 3;

/**
 * Whether a master responds at all. Mesos' own heartbeats reveal a lost connection after 75 s (five times 15
 * s); when a second worker can take over, it pays to know within four.
 */
export class Pulse {
  /** Failed requests in a row. */
  unanswered = 0;

  constructor(private readonly dial: () => Promise<Endpoint>) {}

  /** Sends one request. Any response counts, even a refusal. Rejects with the reason of the signal. */
  async ask(signal: AbortSignal): Promise<boolean> {
    const startedAt = Date.now();
    const time = limit(deadlineMs, signal);
    try {
      const { host, port } = await abortable(this.dial(), time.signal);
      await discard(await httpRequest(`http://${host}:${port}/health`, { signal: time.signal }));
      this.unanswered = 0;
      return true;
    } catch {
      signal.throwIfAborted();
      this.unanswered += 1;
      const rest = Math.max(0, startedAt + deadlineMs - Date.now());
      await pause(rest, signal);
      signal.throwIfAborted();
      return false;
    } finally {
      time.end();
    }
  }

  /** Repeats the request; calls `lost` once when the master does not respond. Ends when the signal aborts. */
  async watch(lost: () => void, signal: AbortSignal): Promise<void> {
    try {
      while (this.unanswered < silentAfter) {
        if (await this.ask(signal)) await delay(everyMs, undefined, { signal });
      }
      lost();
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}
