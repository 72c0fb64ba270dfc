/** What an executor runs: a command of the host, or a container of Docker. */
import type { ProcessId } from './process-tree.js';

export interface TaskBody {
  /** The subject of its last message: `Command exited with status 1`. */
  readonly noun: string;
  /** Whether an exit with status 0 is a success also when the task was to end. */
  readonly finishesWhenKilled: boolean;
  start(watcher: TaskWatcher): void;
  /** Ends all of it: at once without a grace. Resolves when nothing is left. */
  end(graceMs: number): Promise<void>;
}

export interface TaskWatcher {
  running(facts: { readonly leader?: ProcessId; readonly address?: string }): void;
  /** It has never run. */
  failed(message: string): void;
  /** Its own process has ended; others of it may be left. */
  exited(code: number | null, signal: NodeJS.Signals | null, why?: string): void;
}
