import { watch, type FSWatcher } from 'node:fs';

/**
 * Tells that something in a directory was written. It is a hint and no more: there may be no watches left, or no
 * such directory yet, so whoever listens looks by itself too, and may do so less often while `listen` is true.
 */
export class DirectoryWatch {
  private watcher: FSWatcher | undefined;

  constructor(
    private readonly directory: string,
    private readonly onWrite: () => void,
  ) {}

  /** Begins where it does not listen yet; whether it listens now. */
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
