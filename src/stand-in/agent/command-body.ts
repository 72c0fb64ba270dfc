import { spawn } from 'node:child_process';
import type { Launch } from './container.js';
import { killTree, readProcess, type ProcessId } from './process-tree.js';
import type { TaskBody, TaskWatcher } from './task-body.js';

/** A command in its own session. */
export class CommandBody implements TaskBody {
  readonly noun = 'Command';
  readonly finishesWhenKilled = false;
  #leader: ProcessId | undefined;

  constructor(readonly launch: Launch) {}

  start(watcher: TaskWatcher): void {
    const { launch } = this;
    const [command, ...args] = launch.shell
      ? ['/bin/sh', '-c', launch.value ?? '']
      : [launch.value ?? '', ...launch.arguments.slice(1)];
    const task = spawn(command ?? '', args, {
      cwd: launch.sandbox,
      env: launch.environment as NodeJS.ProcessEnv,
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit'],
      ...(!launch.shell && launch.arguments[0] !== undefined && { argv0: launch.arguments[0] }),
    });
    task.on('error', (error) => {
      if (task.pid === undefined) watcher.failed(`Failed to execute command: ${error.message}`);
    });
    task.on('spawn', () => {
      const facts = task.pid === undefined ? undefined : readProcess(task.pid);
      this.#leader = facts && { pid: facts.pid, start: facts.start };
      watcher.running(this.#leader ? { leader: this.#leader } : {});
    });
    task.on('exit', (code, signal) => watcher.exited(code, signal));
  }

  async end(graceMs: number): Promise<void> {
    const mark = `MESOS_CONTAINER_ID=${this.launch.container_id}`;
    await killTree({ mark, ...(this.#leader && { leader: this.#leader }) }, graceMs);
  }
}
