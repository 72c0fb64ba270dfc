import { watch, type FSWatcher } from 'node:fs';

/**
 * Notifies of writes in a directory. It is only a hint: watches may be exhausted, or the directory may not
 * exist yet, so users must poll too, though less often while `listen` returns true.
 */
export class DirectoryWatch {
  private watcher: FSWatcher | undefined;

  constructor(
    private readonly directory: string,
    private readonly onWrite: () => void,
  ) {}

  /** Starts listening if it does not yet; returns whether it listens now. */
  listen(): boolean {
    if (this.watcher !== undefined) return true;
    try {
      const watcher = watch(this.directory, () => this.onWrite());
      watcher.on('error', () => {
        watcher.close();
        if (this.watcher === watcher) this.watcher = undefined;
      });
      this.watcher = watcher;
      return true;
    } catch {
      return false;
    }
  }

  close(): void {
    this.watcher?.close();
    this.watcher = undefined;
  }
}
