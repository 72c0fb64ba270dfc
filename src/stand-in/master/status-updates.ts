import { isTerminal, type SchedulerCall, type TaskStatus } from '../messages.js';
import type { AgentUpdate } from '../protocol.js';
import type { Framework, Task } from './cluster.js';
import type { MasterContext } from './context.js';
import type { Frameworks } from './frameworks.js';
import type { Offers } from './offers.js';
import type { Tasks } from './tasks.js';

/** Forwards status updates from agents to frameworks, and acknowledgements back. */
export class StatusUpdates {
  readonly #context: MasterContext;
  readonly #offers: Offers;
  readonly #tasks: Tasks;
  readonly #frameworks: Frameworks;

  constructor(context: MasterContext, offers: Offers, tasks: Tasks, frameworks: Frameworks) {
    this.#context = context;
    this.#offers = offers;
    this.#tasks = tasks;
    this.#frameworks = frameworks;
  }

  forward(agentId: string, update: AgentUpdate): void {
    const { cluster, counters, log } = this.#context;
    const { framework_id: frameworkId, status, latest_state: latest } = update;
    counters.count('messages_status_update');
    const framework = cluster.frameworks.get(frameworkId);
    counters.count(framework ? 'valid_status_updates' : 'invalid_status_updates');
    if (!framework) {
      if (cluster.isCompleted(frameworkId)) this.#frameworks.shutDownOn(agentId, frameworkId);
      return;
    }
    const taskId = status.task_id.value;
    log.info(
      `Status update ${status.state} for task ${taskId} of framework ${frameworkId} from agent ${agentId}`,
    );
    const task = framework.tasks.get(taskId);
    if (task) {
      task.state = latest;
      addStatus(task, status);
      if (isTerminal(latest)) this.#offers.noteFreed();
    }
    framework.stream?.send({ type: 'UPDATE', update: { status } });
  }

  /** Acknowledging a terminal update completes the task. */
  acknowledge(framework: Framework, call: NonNullable<SchedulerCall['acknowledge']>): void {
    const { cluster, counters, log } = this.#context;
    const taskId = call.task_id.value;
    const agent = cluster.agents.get(call.agent_id.value);
    counters.count(
      agent?.link ? 'valid_status_update_acknowledgements' : 'invalid_status_update_acknowledgements',
    );
    if (!agent?.link) {
      log.warn(
        `Cannot send status update acknowledgement for task ${taskId}: agent ${call.agent_id.value} is not connected`,
      );
      return;
    }
    const task = framework.tasks.get(taskId);
    const forwarded = task?.forwarded;
    if (task && forwarded && isTerminal(forwarded.state) && forwarded.uuid === call.uuid) {
      this.#tasks.complete(task);
    }
    agent.link.send({
      type: 'ACKNOWLEDGE',
      acknowledge: { framework_id: framework.id, task_id: taskId, uuid: call.uuid },
    });
  }
}

/** Adds a status to the task, unless it is a retransmission. */
function addStatus(task: Task, status: TaskStatus): void {
  const isRetry = task.statuses.at(-1)?.uuid === status.uuid;
  if (isRetry) task.statuses.pop();
  task.statuses.push(status);
  if (status.uuid !== undefined) task.forwarded = { state: status.state, uuid: status.uuid };
}
