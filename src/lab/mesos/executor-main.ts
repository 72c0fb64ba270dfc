import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import {
  containerFiles,
  killKind,
  launchKind,
  processKind,
  readIfThere,
  readStatuses,
  writeAtomically,
  type ExecutorStatus,
  type Launch,
} from './container.js';
import { killTree, readProcess, type ProcessId } from './process-tree.js';
import { signalText } from './signals.js';

/**
 * Runs one command task and watches over it, apart from the agent: it is started in a session of its own and
 * goes on when the agent ends. All that it learns it writes down (see `container.ts`).
 */
class Executor {
  readonly #files: ReturnType<typeof containerFiles>;
  #written = 0;
  /** Set when the task is to end; resolves when nothing of it is left. */
  #killed: Promise<void> | undefined;
  #leader: ProcessId | undefined;

  constructor(
    readonly run: string,
    readonly launch: Launch,
  ) {
    this.#files = containerFiles(run);
  }

  start(): void {
    process.on('SIGUSR2', () => this.#lookForKill());
    process.on('SIGTERM', () => this.#kill(this.launch.grace_ms));
    process.on('SIGHUP', () => undefined);
    writeAtomically(this.#files.executor, { pid: process.pid, start: readProcess(process.pid)?.start ?? 0 });
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
      if (task.pid === undefined) this.#end('TASK_FAILED', `Failed to execute command: ${error.message}`);
    });
    task.on('spawn', () => this.#running(task));
    task.on('exit', (code, signal) => void this.#exited(code, signal));
  }

  #running(task: ChildProcess): void {
    const facts = task.pid === undefined ? undefined : readProcess(task.pid);
    if (facts) {
      this.#leader = { pid: facts.pid, start: facts.start };
      writeAtomically(this.#files.task, this.#leader);
    }
    this.#write('TASK_RUNNING');
    this.#lookForKill();
  }

  #lookForKill(): void {
    const kill = readIfThere(this.#files.kill, killKind);
    if (kill) this.#kill(kill.grace_ms);
  }

  #kill(graceMs: number): void {
    if (this.#killed || !this.#leader) return;
    if (this.launch.tell_killing) this.#write('TASK_KILLING');
    this.#killed = this.#killTree(graceMs);
  }

  async #exited(code: number | null, signal: NodeJS.Signals | null): Promise<void> {
    const text =
      signal === null
        ? `Command exited with status ${code ?? 'unknown'}`
        : `Command terminated with signal ${signalText(signal)}`;
    // The state goes out only when nothing is left that could still hold an address or a file.
    const wasKilled = this.#killed !== undefined;
    await (this.#killed ?? this.#killTree(0));
    if (wasKilled) this.#end('TASK_KILLED', text);
    else this.#end(code === 0 ? 'TASK_FINISHED' : 'TASK_FAILED', text);
  }

  async #killTree(graceMs: number): Promise<void> {
    const { container_id: containerId } = this.launch;
    await killTree({ containerId, ...(this.#leader && { leader: this.#leader }) }, graceMs);
  }

  #end(state: ExecutorStatus['state'], message: string): void {
    this.#write(state, message);
    process.exit(0);
  }

  #write(state: ExecutorStatus['state'], message?: string): void {
    const status: ExecutorStatus = {
      uuid: randomBytes(16).toString('base64'),
      state,
      timestamp: Date.now() / 1000,
      ...(message !== undefined && { message }),
    };
    this.#written += 1;
    const name = `${String(this.#written).padStart(6, '0')}.json`;
    writeAtomically(path.join(this.#files.statuses, name), status);
  }
}

const run = process.argv[2];
const launch = run === undefined ? undefined : readIfThere(containerFiles(run).launch, launchKind);
if (run === undefined || launch === undefined) {
  process.stderr.write('Usage: mesos-executor RUN_DIRECTORY (it is started by the agent)\n');
  process.exit(1);
}
// Never twice: a second executor would be a second task at the same address.
if (readIfThere(containerFiles(run).executor, processKind) || readStatuses(run).length > 0) process.exit(1);
new Executor(run, launch).start();
