import type { FrameworkStore } from './deps.js';

/** A node may lack an offer for so long before it is reported. */
export const quietMs = 5_000;
/** Between two reports at most. */
const mostQuietMs = 80_000;

/** The report of what the framework waits for; it is stored when it changes. */
export class MissingReport {
  #storedAt = 0;
  /** Doubled by each report that changes early: a reason that alternates costs few events, however long it does. */
  #quietMs = quietMs;

  /** @param stored the report that is stored now */
  constructor(
    private readonly store: Pick<FrameworkStore, 'storeMissing'>,
    private stored: string | undefined,
  ) {}

  /** @returns when to report again (milliseconds since the epoch) */
  async report(notes: readonly string[], now: number): Promise<number> {
    const missing = notes.length === 0 ? undefined : notes.join('. ');
    if (missing === this.stored) return Infinity;
    // The end of a wait is stored at once.
    const dueAt = this.#storedAt + this.#quietMs;
    if (missing !== undefined && now < dueAt) return dueAt;
    await this.store.storeMissing(missing ?? null);
    this.stored = missing;
    if (missing !== undefined) {
      this.#quietMs = now < dueAt + this.#quietMs ? Math.min(mostQuietMs, 2 * this.#quietMs) : quietMs;
      this.#storedAt = now;
    }
    return Infinity;
  }
}
