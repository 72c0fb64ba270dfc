import { setTimeout as delay } from 'node:timers/promises';
import type { Endpoint } from '../../ssh/connection.js';
import { abortable } from '../../net/abortable.js';
import { limit } from '../../net/deadline.js';
import { discard, httpRequest } from '../../net/http.js';
import { pause } from '../../net/pause.js';

/** Between two questions that were answered. */
const everyMs = 1_000;
/** Of one question; also between two that were not answered, however soon that was known. */
const deadlineMs = 1_200;
/** So many questions in a row that nobody answered: the master is gone, hangs, or is cut off from here. */
export const silentAfter = 3;

/**
 * Whether a master answers at all. Mesos's own heartbeats tell of a lost connection after 75 s (five times 15 s);
 * with a second worker at hand it is worth to know in four.
 */
export class Pulse {
  /** Questions in a row that nobody answered. */
  unanswered = 0;

  constructor(private readonly dial: () => Promise<Endpoint>) {}

  /** Asks once. Any answer is one, a refusal too. Rejects with the reason of the signal. */
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

  /** Asks again and again; calls `lost` once, when the master has been silent. Ends when the signal aborts. */
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
