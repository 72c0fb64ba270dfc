import type { SchedulerCall } from '../messages.js';
import { taskKey, type Agent, type Framework, type Task } from './cluster.js';
import type { MasterContext } from './context.js';

type Kill = NonNullable<SchedulerCall['kill']>;

/** Makes agents kill tasks. */
export class Kills {
  readonly #context: MasterContext;

  constructor(context: MasterContext) {
    this.#context = context;
  }

  /** @returns false when the framework has no such task */
  kill(framework: Framework, kill: Kill): boolean {
    const { cluster, log } = this.#context;
    const taskId = kill.task_id.value;
    const task = framework.tasks.get(taskId);
    if (!task) {
      log.warn(`Cannot kill task ${taskId} of framework ${framework.id}: it is unknown; reconciling`);
      return false;
    }
    const agent = cluster.agents.get(task.agentId);
    if (!agent) return true;
    const graceNs = (kill.kill_policy ?? task.info.kill_policy)?.grace_period?.nanoseconds;
    if (agent.link) this.#send(agent, task, graceNs);
    else agent.pendingKills.add(taskKey(framework.id, taskId));
    return true;
  }

  /** Sends a kill that was requested while the agent was disconnected. */
  sendIfPending(agent: Agent, task: Task): void {
    const key = taskKey(task.frameworkId, task.info.task_id.value);
    if (agent.pendingKills.has(key)) this.#send(agent, task, undefined);
  }

  #send(agent: Agent, task: Task, graceNs: number | undefined): void {
    const taskId = task.info.task_id.value;
    this.#context.log.info(`Telling agent ${agent.id} to kill task ${taskId}`);
    agent.link?.send({
      type: 'KILL',
      kill: {
        framework_id: task.frameworkId,
        task_id: taskId,
        ...(graceNs !== undefined && { grace_ms: graceNs / 1_000_000 }),
      },
    });
  }
}
