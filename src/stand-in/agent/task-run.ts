import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  watch,
  type FSWatcher,
} from 'node:fs';
import path from 'node:path';
import {
  containerFiles,
  launchKind,
  processKind,
  readIfThere,
  readStatuses,
  writeAtomically,
  type ExecutorStatus,
  type Launch,
} from './container.js';
import { removeContainer } from './docker.js';
import type { Log } from '../log.js';
import { taskInfoKind, type TaskInfo, type TaskState, type TaskStatus } from '../messages.js';
import { findByArgument, isAlive, killTree, readProcess, type ProcessId } from './process-tree.js';
import { readMessage } from '../proto.js';
import { updateUuid, uuidText } from '../update-uuid.js';
import { UpdateStream } from './update-stream.js';

/** Poll interval of the executor; its files are also watched. */
const pollMs = 250;

export interface TaskRunOptions {
  /** Directory of the files that the agent shares with the executor. */
  readonly run: string;
  readonly agentIp: string;
  readonly log: Log;
  send(status: TaskStatus, latest: TaskStatus): void;
  /** The task has ended and no update awaits an acknowledgement. */
  settled(): void;
}

/** One task of this agent: its executor, its updates, its end. */
export class TaskRun {
  readonly launch: Launch;
  readonly task: TaskInfo;
  readonly updates: UpdateStream;
  readonly #options: TaskRunOptions;
  readonly #files: ReturnType<typeof containerFiles>;
  #executor: ProcessId | undefined;
  #timer: NodeJS.Timeout | undefined;
  #watcher: FSWatcher | undefined;
  #polling = false;

  private constructor(options: TaskRunOptions, launch: Launch) {
    this.#options = options;
    this.#files = containerFiles(options.run);
    this.launch = launch;
    this.task = readMessage(taskInfoKind, launch.task);
    this.updates = new UpdateStream(this.#files.updates, (status, latest) => options.send(status, latest));
  }

  /** Stores what to run; the directory appears complete. */
  static create(options: TaskRunOptions, launch: Launch): TaskRun {
    const temporary = `${options.run}.tmp`;
    mkdirSync(path.join(temporary, 'statuses'), { recursive: true, mode: 0o700 });
    writeAtomically(containerFiles(temporary).launch, launch);
    mkdirSync(launch.sandbox, { recursive: true });
    renameSync(temporary, options.run);
    return new TaskRun(options, launch);
  }

  /** Loads a run of an earlier agent process; undefined when the directory is unusable. */
  static load(options: TaskRunOptions): TaskRun | undefined {
    const launch = readIfThere(containerFiles(options.run).launch, launchKind);
    return launch && new TaskRun(options, launch);
  }

  get frameworkId(): string {
    return this.launch.framework_id;
  }

  get taskId(): string {
    return this.launch.task_id;
  }

  get state(): TaskState {
    return this.updates.latest?.state ?? 'TASK_STAGING';
  }

  /** Its framework is gone: no updates are sent. */
  get abandoned(): boolean {
    return existsSync(this.#files.abandoned);
  }

  get executorPid(): number | undefined {
    return this.#executor?.pid;
  }

  /** Starts the executor in its own session, so that it outlives this agent. */
  start(program: string): void {
    const { sandbox, environment } = this.launch;
    // The executor finds the task's processes by the container ID; it must not match itself.
    const { MESOS_CONTAINER_ID: _, ...env } = environment as NodeJS.ProcessEnv;
    const files = ['stdout', 'stderr'].map((name) => openSync(path.join(sandbox, name), 'a'));
    const child = spawn(
      process.execPath,
      ['--max-old-space-size=16', '--max-semi-space-size=1', program, this.#options.run],
      { cwd: sandbox, detached: true, env, stdio: ['ignore', ...files] },
    );
    for (const descriptor of files) closeSync(descriptor);
    child.unref();
    child.on('error', (error) => {
      this.refuse(`Failed to launch container: ${error.message}`);
    });
    child.on('exit', () => void this.#poll());
    try {
      const facts = child.pid === undefined ? undefined : readProcess(child.pid);
      this.#executor = facts && { pid: facts.pid, start: facts.start };
    } catch (error) {
      this.#options.log.warn(`Cannot see the executor of task ${this.taskId} yet: ${String(error)}`);
    }
    this.#observe();
  }

  /** It cannot be started. */
  refuse(why: string): void {
    this.#end('TASK_FAILED', 'REASON_CONTAINER_LAUNCH_FAILED', why);
  }

  /** Reattaches to the executor, if it still runs, and reads what it wrote. */
  async recover(): Promise<void> {
    await this.#poll();
    if (!this.updates.ended) this.#observe();
  }

  /** Removes the files of a task that has ended and needs no acknowledgement. @returns whether it did */
  discardIfDone(): boolean {
    const done = this.updates.settled || (this.abandoned && this.updates.ended);
    if (done) this.#settle();
    return done;
  }

  kill(graceMs: number | undefined): void {
    writeAtomically(this.#files.kill, { grace_ms: graceMs ?? this.launch.grace_ms });
    // An executor that has not written its file yet checks for the kill order when it does.
    const executor = readIfThere(this.#files.executor, processKind);
    if (executor && isAlive(executor)) process.kill(executor.pid, 'SIGUSR2');
  }

  /** Ends it without any updates. */
  abandon(graceMs: number): void {
    writeAtomically(this.#files.abandoned, true);
    this.updates.pause();
    if (!this.discardIfDone()) this.kill(graceMs);
  }

  acknowledge(uuid: string): void {
    if (this.updates.acknowledge(uuid)) this.discardIfDone();
  }

  /** The agent stops watching; the task continues. */
  leave(): void {
    clearInterval(this.#timer);
    this.#watcher?.close();
    this.updates.pause();
  }

  /** The status as sent to the framework. */
  #toStatus(
    status: Pick<ExecutorStatus, 'uuid' | 'timestamp' | 'message' | 'address'> & { state: TaskState },
  ): TaskStatus {
    const { agent_id: agentId, task_id: taskId, container_id: containerId } = this.launch;
    return {
      task_id: { value: taskId },
      agent_id: { value: agentId },
      executor_id: { value: taskId },
      source: 'SOURCE_EXECUTOR',
      state: status.state,
      timestamp: status.timestamp,
      uuid: status.uuid,
      ...(status.message !== undefined && { message: status.message }),
      container_status: {
        container_id: { value: containerId },
        ...(this.#executor && { executor_pid: this.#executor.pid }),
        network_infos: [{ ip_addresses: [{ ip_address: status.address ?? this.#options.agentIp }] }],
      },
    };
  }

  #observe(): void {
    this.#timer = setInterval(() => void this.#poll(), pollMs);
    try {
      this.#watcher = watch(this.#files.statuses, () => void this.#poll());
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch (error) {
      // Watches are a limited system resource; polling is enough.
      this.#options.log.warn(`Cannot watch ${this.#files.statuses}: ${String(error)}`);
    }
  }

  /**
   * Reads what the executor has written, and detects an executor that ended without a final status. While
   * that is unknown it may be alive, and the next poll checks again.
   */
  async #poll(): Promise<void> {
    if (this.#polling || this.updates.ended) return;
    this.#polling = true;
    try {
      // Until it writes its file, only its command line identifies it.
      this.#executor ??= readIfThere(this.#files.executor, processKind) ?? findByArgument(this.#options.run);
      const alive = this.#executor !== undefined && isAlive(this.#executor);
      this.#takeStatuses();
      if (alive || this.updates.ended) return;
      await this.#endAll();
      if (!this.updates.ended) this.#takeStatuses();
      if (!this.updates.ended) {
        this.#end('TASK_FAILED', 'REASON_EXECUTOR_TERMINATED', 'Executor terminated without a final status');
      }
    } catch (error) {
      this.#options.log.warn(`Cannot see how task ${this.taskId} is: ${String(error)}`);
    } finally {
      this.#polling = false;
    }
  }

  /** Ends what is left without its executor. */
  async #endAll(): Promise<void> {
    const { docker, container_id: containerId } = this.launch;
    if (docker) await removeContainer(docker);
    await killTree({ mark: `MESOS_CONTAINER_ID=${containerId}` }, 0);
  }

  #takeStatuses(): void {
    for (const status of readStatuses(this.#options.run)) {
      if (!this.updates.has(status.uuid)) this.#add(this.#toStatus(status));
    }
  }

  #end(state: 'TASK_FAILED', reason: string, text: string): void {
    this.#add({
      ...this.#toStatus({
        uuid: updateUuid(),
        state,
        timestamp: Date.now() / 1000,
        message: text,
      }),
      source: 'SOURCE_AGENT',
      reason,
    });
  }

  #add(status: TaskStatus): void {
    this.#options.log.info(
      `Handling status update ${status.state} (UUID: ${uuidText(status.uuid ?? '')}) for task ${this.taskId} of framework ${this.frameworkId}`,
    );
    this.updates.add(status);
    if (!this.updates.ended) return;
    clearInterval(this.#timer);
    this.#watcher?.close();
    if (this.abandoned) this.#settle();
  }

  #settle(): void {
    this.leave();
    rmSync(this.#options.run, { recursive: true, force: true });
    this.#options.settled();
  }
}
