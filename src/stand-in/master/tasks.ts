import { isTerminal, masterStatus, type TaskState } from '../messages.js';
import { taskKey, type Framework, type Task } from './cluster.js';
import type { MasterContext } from './context.js';
import type { Offers } from './offers.js';

/** A task state set by the master, unknown to the agent. */
export interface MasterUpdate {
  readonly state: TaskState;
  readonly reason: string;
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly unreachableAt?: number;
}

/** The master's side of the frameworks' tasks. */
export class Tasks {
  readonly #context: MasterContext;
  readonly #offers: Offers;

  constructor(context: MasterContext, offers: Offers) {
    this.#context = context;
    this.#offers = offers;
  }

  /** Sends the framework a status update that needs no acknowledgement. */
  update(framework: Framework, task: Task, { state, reason, message, unreachableAt }: MasterUpdate): void {
    const containerStatus = task.statuses.at(-1)?.container_status;
    const status = masterStatus(state, task.info.task_id.value, reason, message, {
      agentId: task.agentId,
      ...(containerStatus !== undefined && { containerStatus }),
      ...(unreachableAt !== undefined && { unreachableAt }),
    });
    framework.stream?.send({ type: 'UPDATE', update: { status } });
    if (isTerminal(state)) task.state = state;
  }

  /** Moves a task to the completed ones and removes it from its agent. */
  complete(task: Task): void {
    const { cluster, settings } = this.#context;
    const taskId = task.info.task_id.value;
    cluster.agents.get(task.agentId)?.tasks.delete(taskKey(task.frameworkId, taskId));
    const framework = cluster.frameworks.get(task.frameworkId);
    if (framework?.tasks.get(taskId) !== task) return;
    framework.tasks.delete(taskId);
    framework.completedTasks.push(task);
    if (framework.completedTasks.length > settings.maxCompletedTasks) framework.completedTasks.shift();
    this.#offers.allocateIfFreed();
  }

  /** Marks a task unreachable: its agent is partitioned and may return with it. */
  markUnreachable(framework: Framework, task: Task): void {
    const taskId = task.info.task_id.value;
    framework.tasks.delete(taskId);
    framework.unreachableTasks.set(taskId, task);
    task.state = 'TASK_UNREACHABLE';
  }
}
