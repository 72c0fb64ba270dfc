/** What an executor runs: a host command or a Docker container. */
import type { ProcessId } from './process-tree.js';

export interface TaskBody {
  /** Subject of its last message: `Command exited with status 1`. */
  readonly noun: string;
  /** Whether exit status 0 counts as success after a kill. */
  readonly finishesWhenKilled: boolean;
  start(watcher: TaskWatcher): void;
  /** Ends all of it, at once if the grace is 0. Resolves when nothing is left. */
  end(graceMs: number): Promise<void>;
}

export interface TaskWatcher {
  running(facts: { readonly leader?: ProcessId; readonly address?: string }): void;
  /** It never ran. */
  failed(message: string): void;
  /** Its main process has ended; other processes may be left. */
  exited(code: number | null, signal: NodeJS.Signals | null, why?: string): void;
}
