import { isTerminal } from '../messages.js';
import type { AgentTask, Registration } from '../protocol.js';
import { fromApi } from '../resources.js';
import type { EarlierRemoval } from './agent-removal.js';
import { isPartitionAware, taskKey, type Agent, type Framework, type Task } from './cluster.js';
import type { MasterContext } from './context.js';
import type { Frameworks } from './frameworks.js';
import type { Kills } from './kills.js';
import type { Tasks } from './tasks.js';

/** Reconciles the master's tasks with those of a registering agent. */
export class TaskRecovery {
  readonly #context: MasterContext;
  readonly #tasks: Tasks;
  readonly #kills: Kills;
  readonly #frameworks: Frameworks;

  constructor(context: MasterContext, tasks: Tasks, kills: Kills, frameworks: Frameworks) {
    this.#context = context;
    this.#tasks = tasks;
    this.#kills = kills;
    this.#frameworks = frameworks;
  }

  /** Ends tasks that the master lists on this agent and the agent lacks. */
  dropUnknown(agent: Agent, registration: Registration): void {
    const present = new Set(
      registration.tasks.map((task) => taskKey(task.framework_id, task.info.task_id.value)),
    );
    for (const [key, task] of [...agent.tasks]) {
      if (present.has(key)) continue;
      const framework = this.#context.cluster.frameworks.get(task.frameworkId);
      if (framework && !isTerminal(task.state)) {
        const wasDropped = task.state === 'TASK_STAGING' && isPartitionAware(framework);
        this.#tasks.update(framework, task, {
          state: wasDropped ? 'TASK_DROPPED' : 'TASK_LOST',
          reason: 'REASON_RECONCILIATION',
          message: 'Reconciliation: Task is unknown to the agent',
        });
      }
      this.#tasks.complete(task);
    }
  }

  /** Adopts the agent's frameworks and tasks. */
  recover(agent: Agent, registration: Registration, earlier: EarlierRemoval): void {
    this.#recoverFrameworks(agent, registration);
    for (const reported of registration.tasks) {
      const framework = this.#context.cluster.frameworks.get(reported.framework_id);
      if (framework) this.#recoverTask(agent, framework, reported, earlier);
    }
    agent.pendingKills.clear();
  }

  #recoverFrameworks(agent: Agent, { frameworks }: Registration): void {
    const { cluster, log } = this.#context;
    for (const info of frameworks) {
      const id = info.id?.value;
      if (id === undefined) continue;
      if (cluster.isCompleted(id)) this.#frameworks.shutDownOn(agent.id, id);
      else if (!cluster.frameworks.has(id)) {
        log.info(`Recovering framework ${id} from re-registering agent ${agent.id}`);
        this.#frameworks.recover(id, info);
      }
    }
  }

  #recoverTask(agent: Agent, framework: Framework, reported: AgentTask, earlier: EarlierRemoval): void {
    const taskId = reported.info.task_id.value;
    if (earlier.byThisMaster && !isPartitionAware(framework)) {
      // The framework received TASK_LOST, and may have launched a replacement.
      agent.link?.send({ type: 'KILL', kill: { framework_id: framework.id, task_id: taskId } });
      return;
    }
    const key = taskKey(framework.id, taskId);
    const task = agent.tasks.get(key) ?? toTask(agent, reported);
    task.state = reported.state;
    agent.tasks.set(key, task);
    framework.tasks.set(taskId, task);
    const wasUnreachable = framework.unreachableTasks.delete(taskId) || earlier.unreachable;
    // A terminal state arrives as an update from the agent and must be acknowledged.
    if (wasUnreachable && !isTerminal(task.state)) {
      this.#tasks.update(framework, task, {
        state: task.state,
        reason: 'REASON_AGENT_REREGISTERED',
        message: 'Unreachable agent re-registered',
      });
    }
    this.#kills.sendIfPending(agent, task);
  }
}

function toTask(agent: Agent, { framework_id: frameworkId, info, state, statuses }: AgentTask): Task {
  const last = statuses.at(-1);
  return {
    frameworkId,
    agentId: agent.id,
    info,
    resources: fromApi(info.resources),
    state,
    statuses: [...statuses],
    ...(last?.uuid !== undefined && { forwarded: { state: last.state, uuid: last.uuid } }),
  };
}
