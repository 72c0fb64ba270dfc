import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentMeta } from './meta.js';
import type { Attribute } from '../attributes.js';
import type { Launch } from './container.js';
import type { MasterInfo } from '../election.js';
import type { Log } from '../log.js';
import { containersNamed, removeContainer } from './docker.js';
import { containerName, containerPrefix, dockerRunArguments, DockerRunError } from './docker-run.js';
import { MasterLink } from './master-link.js';
import { isTerminal, type FrameworkInfo, type TaskInfo } from '../messages.js';
import type { Registration, ToAgent } from '../protocol.js';
import { toApi, type Resources } from '../resources.js';
import { TaskRun, type TaskRunOptions } from './task-run.js';

export interface AgentSettings {
  readonly hostname: string;
  readonly ip: string;
  readonly port: number;
  readonly resources: Resources;
  readonly attributes: readonly Attribute[];
  /** Path of `mesos-executor.mjs`. */
  readonly executor: string;
  /** `--executor_environment_variables` */
  readonly executorEnvironment: Readonly<Record<string, string>>;
  readonly shutdownGraceMs: number;
  readonly registrationBackoffMs: number;
  /** `--containerizers` */
  readonly containerizers: readonly string[];
  readonly docker: DockerSettings;
}

interface DockerSettings {
  /** `--docker` */
  readonly program: string;
  /** `--docker_socket` */
  readonly socket: string;
  /** `--sandbox_directory` */
  readonly mappedDirectory: string;
  /** `--docker_kill_orphans` */
  readonly killOrphans: boolean;
}

/** Pause after Docker did not respond. */
const dockerPauseMs = 5_000;

/** PATH of executors, unless a flag overrides it. */
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** A Mesos agent: the tasks on this host, their frameworks, and its link to the master. */
export class Agent {
  readonly tasks = new Map<string, TaskRun>();
  readonly frameworks = new Map<string, FrameworkInfo>();
  readonly #link: MasterLink;
  #id: string | undefined;
  #registered = false;

  constructor(
    readonly settings: AgentSettings,
    readonly meta: AgentMeta,
    readonly log: Log,
  ) {
    this.#link = new MasterLink(log, settings.registrationBackoffMs, () => this.#registration());
    this.#link.on('message', (message) => this.#handle(message));
    this.#link.on('lost', () => {
      this.#registered = false;
      for (const task of this.tasks.values()) task.updates.pause();
    });
  }

  get id(): string | undefined {
    return this.#id;
  }

  get registered(): boolean {
    return this.#registered;
  }

  get master(): MasterInfo | undefined {
    return this.#link.master;
  }

  /**
   * Recovers the agent's ID, the running executors and what they wrote while no agent ran. A task whose
   * executor is gone is cleaned up and reported as failed, also after a reboot: the ID stays (as since Mesos
   * 1.4), so its framework is notified at once.
   */
  async recover(): Promise<void> {
    const found = this.meta.recoverId();
    if (!found) {
      this.log.info(`Failed to find the latest agent from '${this.meta.workDir}/meta'`);
      return;
    }
    this.#id = found.id;
    if (!found.sameBoot) this.log.info('The machine has booted since: no executor can have survived');
    for (const [id, info] of this.meta.frameworks(found.id)) this.frameworks.set(id, info);
    const runs = this.meta.runs(found.id).flatMap((run) => TaskRun.load(this.#runOptions(run)) ?? []);
    for (const task of runs) this.tasks.set(keyOf(task.frameworkId, task.taskId), task);
    await Promise.all(
      runs.map(async (task) => {
        if (task.discardIfDone()) return;
        await task.recover();
        this.log.info(`Recovered task ${task.taskId} of framework ${task.frameworkId}: ${task.state}`);
        if (task.abandoned && !task.discardIfDone()) task.abandon(this.settings.shutdownGraceMs);
      }),
    );
    if (await this.#removeOrphans(found.id)) this.log.info(`Finished recovery of agent ${found.id}`);
    else void this.#removeOrphansLater(found.id);
  }

  /**
   * Removes this agent's containers that belong to no task, if `killOrphans` is set; false when Docker does
   * not respond. Containers of other agents on the same Docker have another prefix.
   */
  async #removeOrphans(agentId: string): Promise<boolean> {
    const { containerizers, docker } = this.settings;
    if (!containerizers.includes('docker') || !docker.killOrphans) return true;
    const names = await containersNamed(docker, containerPrefix(agentId));
    if (names === undefined) {
      this.log.warn('Docker does not answer: containers without a task are looked for later');
      return false;
    }
    const known = new Set([...this.tasks.values()].map((task) => task.launch.docker?.name));
    for (const name of names.filter((each) => !known.has(each))) {
      this.log.info(`Removing the orphaned container '${name}'`);
      await removeContainer({ ...docker, name });
    }
    return true;
  }

  async #removeOrphansLater(agentId: string): Promise<void> {
    do await delay(dockerPauseMs);
    while (!(await this.#removeOrphans(agentId)));
  }

  follow(master: MasterInfo | undefined): void {
    this.#link.follow(master);
  }

  #registration(): Registration {
    const { hostname, ip, port, resources, attributes } = this.settings;
    const tasks = [...this.tasks.values()].filter((task) => !task.abandoned);
    return {
      agent: {
        ...(this.#id !== undefined && { id: this.#id }),
        hostname,
        ip,
        port,
        version: '1.3.2',
        resources: toApi(resources),
        attributes,
      },
      tasks: tasks.map((task) => ({
        framework_id: task.frameworkId,
        info: task.task,
        state: task.state,
        statuses: task.updates.statuses,
      })),
      frameworks: [...this.frameworks.entries()]
        .filter(([id]) => tasks.some((task) => task.frameworkId === id))
        .map(([, info]) => info),
    };
  }

  #handle(message: ToAgent): void {
    if (message.registered) this.#onRegistered(message.registered.agent_id);
    else if (message.framework) this.#onFramework(message.framework.info);
    else if (message.launch) this.#launch(message.launch.framework, message.launch.task);
    else if (message.kill) this.#kill(message.kill);
    else if (message.acknowledge) {
      const { framework_id: frameworkId, task_id: taskId, uuid } = message.acknowledge;
      this.tasks.get(keyOf(frameworkId, taskId))?.acknowledge(uuid);
    } else if (message.shutdown_framework) {
      this.#shutDownFramework(message.shutdown_framework.framework_id);
    }
  }

  #onRegistered(id: string): void {
    this.meta.storeId(id);
    this.log.info(`${this.#id === undefined ? 'Registered' : 'Re-registered'} with master; agent ID ${id}`);
    this.#id = id;
    this.#registered = true;
    for (const task of this.#toReport()) task.updates.flush();
  }

  #onFramework(info: FrameworkInfo): void {
    const id = info.id?.value;
    if (id === undefined || this.#id === undefined || !this.frameworks.has(id)) return;
    this.frameworks.set(id, info);
    this.meta.storeFramework(this.#id, id, info);
    for (const task of this.#toReport()) if (task.frameworkId === id) task.updates.flush();
  }

  #toReport(): TaskRun[] {
    return [...this.tasks.values()].filter((task) => !task.abandoned);
  }

  #launch(framework: FrameworkInfo, task: TaskInfo): void {
    const agentId = this.#id;
    const frameworkId = framework.id?.value;
    const taskId = task.task_id.value;
    if (agentId === undefined || frameworkId === undefined) return;
    const key = keyOf(frameworkId, taskId);
    if (this.tasks.has(key)) {
      this.log.warn(`Task ${taskId} of framework ${frameworkId} is here already`);
      return;
    }
    this.log.info(`Got assigned task '${taskId}' for framework ${frameworkId}`);
    this.frameworks.set(frameworkId, framework);
    this.meta.storeFramework(agentId, frameworkId, framework);
    const containerId = randomUUID();
    const sandbox = this.meta.sandbox(agentId, frameworkId, taskId, containerId);
    const graceNs = task.kill_policy?.grace_period?.nanoseconds;
    const docker = this.#containerOf(task, { agentId, containerId, sandbox });
    const run = TaskRun.create(
      this.#runOptions(this.meta.runDir(agentId, frameworkId, taskId, containerId)),
      {
        container_id: containerId,
        framework_id: frameworkId,
        task_id: taskId,
        agent_id: agentId,
        sandbox,
        shell: task.command?.shell ?? true,
        ...(task.command?.value !== undefined && { value: task.command.value }),
        arguments: task.command?.arguments ?? [],
        ...(typeof docker === 'object' && { docker }),
        environment: this.#environment(task, { agentId, frameworkId, containerId, sandbox }),
        grace_ms: graceNs === undefined ? this.settings.shutdownGraceMs : graceNs / 1_000_000,
        tell_killing: framework.capabilities.some(({ type }) => type === 'TASK_KILLING_STATE'),
        task,
      },
    );
    this.tasks.set(key, run);
    if (this.#registered) run.updates.flush();
    if (typeof docker === 'string') run.refuse(docker);
    else run.start(this.settings.executor);
    this.meta.pruneSandboxes(agentId, new Set([...this.tasks.values()].map((other) => other.launch.sandbox)));
  }

  /** The container that the task requests: undefined for none, an error text when it cannot run. */
  #containerOf(
    task: TaskInfo,
    ids: { readonly agentId: string; readonly containerId: string; readonly sandbox: string },
  ): Launch['docker'] | string {
    if (task.container?.type !== 'DOCKER') return undefined;
    const { containerizers, docker } = this.settings;
    if (!containerizers.includes('docker')) {
      return `None of the enabled containerizers (${containerizers.join(',')}) could create a container for the provided TaskInfo/ExecutorInfo message`;
    }
    const { program, socket, mappedDirectory } = docker;
    const name = containerName(ids.agentId, ids.containerId);
    try {
      const place = { name, sandbox: ids.sandbox, mappedDirectory };
      return { program, socket, name, arguments: dockerRunArguments(task, place) };
    } catch (error) {
      if (error instanceof DockerRunError) return error.message;
      throw error;
    }
  }

  /**
   * Does not inherit the agent's environment: only `--executor_environment_variables` and the task's
   * variables.
   */
  #environment(
    task: TaskInfo,
    ids: {
      readonly agentId: string;
      readonly frameworkId: string;
      readonly containerId: string;
      readonly sandbox: string;
    },
  ): Record<string, string> {
    const { ip, port } = this.settings;
    const own = (task.command?.environment?.variables ?? []).map(
      ({ name, value }) => [name, value ?? ''] as const,
    );
    return {
      LIBPROCESS_IP: ip,
      PATH: defaultPath,
      ...this.settings.executorEnvironment,
      LIBPROCESS_PORT: '0',
      ...Object.fromEntries(own),
      MESOS_TASK_ID: task.task_id.value,
      MESOS_EXECUTOR_ID: task.task_id.value,
      MESOS_FRAMEWORK_ID: ids.frameworkId,
      MESOS_AGENT_ID: ids.agentId,
      MESOS_SLAVE_ID: ids.agentId,
      MESOS_CONTAINER_ID: ids.containerId,
      MESOS_SANDBOX: ids.sandbox,
      MESOS_DIRECTORY: ids.sandbox,
      MESOS_AGENT_ENDPOINT: `${ip}:${port}`,
    };
  }

  #kill(kill: NonNullable<ToAgent['kill']>): void {
    const task = this.tasks.get(keyOf(kill.framework_id, kill.task_id));
    this.log.info(`Asked to kill task ${kill.task_id} of framework ${kill.framework_id}`);
    if (task && !isTerminal(task.state)) task.kill(kill.grace_ms);
  }

  #shutDownFramework(frameworkId: string): void {
    this.log.info(`Shutting down framework ${frameworkId}`);
    for (const task of [...this.tasks.values()]) {
      if (task.frameworkId === frameworkId) task.abandon(this.settings.shutdownGraceMs);
    }
    this.#forgetFrameworkWithoutTasks(frameworkId);
  }

  #forgetFrameworkWithoutTasks(frameworkId: string): void {
    if (this.#id === undefined) return;
    if ([...this.tasks.values()].some((task) => task.frameworkId === frameworkId)) return;
    this.frameworks.delete(frameworkId);
    this.meta.removeFramework(this.#id, frameworkId);
  }

  #runOptions(run: string): TaskRunOptions {
    const find = () =>
      [...this.tasks.values()].find((task) => task.launch.container_id === path.basename(run));
    return {
      run,
      agentIp: this.settings.ip,
      log: this.log,
      send: (status, latest) => {
        const task = find();
        if (!this.#registered || !task) return;
        this.log.info(`Forwarding the update ${status.state} for task ${task.taskId} to the master`);
        this.#link.send({
          type: 'UPDATE',
          update: { framework_id: task.frameworkId, status, latest_state: latest.state },
        });
      },
      settled: () => {
        const task = find();
        if (!task) return;
        this.tasks.delete(keyOf(task.frameworkId, task.taskId));
        this.meta.removeTask(task.launch.agent_id, task.frameworkId, task.taskId);
        this.#forgetFrameworkWithoutTasks(task.frameworkId);
      },
    };
  }
}

function keyOf(frameworkId: string, taskId: string): string {
  return `${frameworkId}/${taskId}`;
}
