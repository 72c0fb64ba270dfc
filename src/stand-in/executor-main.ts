import path from 'node:path';
import { CommandBody } from './agent/command-body.js';
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
} from './agent/container.js';
import { DockerBody } from './agent/docker-body.js';
import { readProcess } from './agent/process-tree.js';
import { signalText } from './agent/signals.js';
import type { TaskBody } from './agent/task-body.js';
import { updateUuid } from './update-uuid.js';

/**
 * Runs and supervises one task, independently of the agent: it starts in its own session, continues when the
 * agent ends, and stores all results in files (see `container.ts`).
 */
class Executor {
  readonly #files: ReturnType<typeof containerFiles>;
  readonly #body: TaskBody;
  #written = 0;
  #running = false;
  /** Set when the task is being killed; resolves when nothing of it is left. */
  #killed: Promise<void> | undefined;

  constructor(
    readonly run: string,
    readonly launch: Launch,
  ) {
    this.#files = containerFiles(run);
    this.#body = launch.docker ? new DockerBody(launch, launch.docker) : new CommandBody(launch);
  }

  start(): void {
    process.on('SIGUSR2', () => this.#lookForKill());
    process.on('SIGTERM', () => this.#kill(this.launch.grace_ms));
    process.on('SIGHUP', () => undefined);
    writeAtomically(this.#files.executor, { pid: process.pid, start: readProcess(process.pid)?.start ?? 0 });
    this.#body.start({
      running: ({ leader, address }) => {
        if (leader) writeAtomically(this.#files.task, leader);
        this.#running = true;
        this.#write('TASK_RUNNING', address === undefined ? {} : { address });
        this.#lookForKill();
      },
      failed: (message) => this.#end('TASK_FAILED', message),
      exited: (code, signal, why) => void this.#exited(code, signal, why),
    });
  }

  #lookForKill(): void {
    const kill = readIfThere(this.#files.kill, killKind);
    if (kill) this.#kill(kill.grace_ms);
  }

  #kill(graceMs: number): void {
    if (this.#killed || !this.#running) return;
    if (this.launch.tell_killing) this.#write('TASK_KILLING');
    this.#killed = this.#body.end(graceMs);
  }

  async #exited(code: number | null, signal: NodeJS.Signals | null, why?: string): Promise<void> {
    const { noun, finishesWhenKilled } = this.#body;
    const how =
      signal === null
        ? `${noun} exited with status ${code ?? 'unknown'}`
        : `${noun} terminated with signal ${signalText(signal)}`;
    const text = why === undefined ? how : `${how}: ${why}`;
    // Sent only when nothing is left that could still hold an address or a file.
    const wasKilled = this.#killed !== undefined;
    await (this.#killed ?? this.#body.end(0));
    if (wasKilled && !(finishesWhenKilled && code === 0)) this.#end('TASK_KILLED', text);
    else this.#end(code === 0 ? 'TASK_FINISHED' : 'TASK_FAILED', text);
  }

  #end(state: ExecutorStatus['state'], message: string): void {
    this.#write(state, { message });
    process.exit(0);
  }

  #write(state: ExecutorStatus['state'], more: Pick<ExecutorStatus, 'message' | 'address'> = {}): void {
    const status: ExecutorStatus = {
      uuid: updateUuid(),
      state,
      timestamp: Date.now() / 1000,
      ...more,
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
// Never run twice: a second executor would start a second task at the same address.
if (readIfThere(containerFiles(run).executor, processKind) || readStatuses(run).length > 0) process.exit(1);
new Executor(run, launch).start();
