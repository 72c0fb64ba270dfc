import { stat } from 'node:fs/promises';
import { loadSpec } from '../cluster/load.js';
import type { ClusterSpec } from '../cluster/spec.js';

/** The spec in a file, as it is now: the page lives longer than a version of it. */
export class FollowedSpec {
  #modifiedAt: number | undefined;

  constructor(
    private readonly file: string,
    private spec: ClusterSpec,
  ) {}

  /** Reads the file again if it has changed. While it cannot be read or has problems, what it said last holds. */
  async current(): Promise<ClusterSpec> {
    try {
      const { mtimeMs } = await stat(this.file);
      if (mtimeMs !== this.#modifiedAt) {
        this.spec = await loadSpec(this.file);
        this.#modifiedAt = mtimeMs;
      }
    } catch {
      // It may be half written; the next observation reads it again.
    }
    return this.spec;
  }
}
