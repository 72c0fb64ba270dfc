import type { FrameworkStore } from './deps.js';

/** A node may lack an offer for so long before it is reported. */
export const quietMs = 5_000;

/** The report of what the framework waits for; it is stored when it changes. */
export class MissingReport {
  #storedAt = 0;

  /** @param stored the report that is stored now */
  constructor(
    private readonly store: Pick<FrameworkStore, 'storeMissing'>,
    private stored: string | undefined,
  ) {}

  /** @returns when to report again (milliseconds since the epoch) */
  async report(notes: readonly string[], now: number): Promise<number> {
    const missing = notes.length === 0 ? undefined : notes.join('. ');
    if (missing === this.stored) return Infinity;
    // The end of a wait is stored at once; a report that changes again and again is not worth an event each time.
    if (missing !== undefined && now - this.#storedAt < quietMs) return this.#storedAt + quietMs;
    await this.store.storeMissing(missing ?? null);
    this.stored = missing;
    this.#storedAt = now;
    return Infinity;
  }
}
