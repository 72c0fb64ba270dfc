import { masterStatus, type TaskInfo } from '../messages.js';
import { fromApi } from '../resources.js';
import {
  invalidOffers,
  planAccept,
  refuseAll,
  type Accept,
  type AcceptStep,
  type Refusal,
} from './accept.js';
import { offered, taskKey, type Agent, type Framework, type Task } from './cluster.js';
import type { MasterContext } from './context.js';
import type { Offers } from './offers.js';

/** Launches tasks from accepted offers. */
export class Launches {
  readonly #context: MasterContext;
  readonly #offers: Offers;

  constructor(context: MasterContext, offers: Offers) {
    this.#context = context;
    this.#offers = offers;
  }

  accept(framework: Framework, call: Accept): void {
    const { cluster, log } = this.#context;
    const accepted = call.offer_ids.map(({ value }) => ({ id: value, offer: cluster.offers.get(value) }));
    const problem = invalidOffers(framework, accepted);
    const own = accepted.flatMap(({ offer }) => (offer?.frameworkId === framework.id ? [offer] : []));
    for (const offer of own) this.#offers.remove(offer);
    if (problem !== undefined) {
      log.warn(`ACCEPT call used invalid offers: ${problem}`);
      for (const refusal of refuseAll(framework, call, problem)) this.#refuse(framework, refusal);
      return;
    }
    const agent = cluster.agents.get(own[0]?.agentId ?? '');
    if (!agent) return;
    const { steps, unused } = planAccept(call.operations, {
      agentId: agent.id,
      available: offered(own),
      taskIds: framework.tasks.keys(),
    });
    for (const step of steps) this.#take(step, framework, agent);
    this.#offers.filter(framework, agent.id, unused, call.filters);
  }

  #take(step: AcceptStep, framework: Framework, agent: Agent): void {
    switch (step.kind) {
      case 'launch':
        this.#launch(framework, agent, step.task);
        return;
      case 'refuse':
        this.#refuse(framework, step);
        return;
      case 'ignore':
        this.#context.log.warn(`Ignoring ${step.operation}: the stand-in does not support it`);
    }
  }

  #launch(framework: Framework, agent: Agent, info: TaskInfo): void {
    const taskId = info.task_id.value;
    const task: Task = {
      frameworkId: framework.id,
      agentId: agent.id,
      info,
      resources: fromApi(info.resources),
      state: 'TASK_STAGING',
      statuses: [],
    };
    framework.tasks.set(taskId, task);
    agent.tasks.set(taskKey(framework.id, taskId), task);
    this.#context.log.info(`Launching task ${taskId} of framework ${framework.id} on agent ${agent.id}`);
    agent.link?.send({ type: 'LAUNCH', launch: { framework: framework.info, task: info } });
  }

  #refuse(framework: Framework, { task, state, reason, message }: Refusal): void {
    const { counters, log } = this.#context;
    const taskId = task.task_id.value;
    log.warn(`Task ${taskId} of framework ${framework.id}: ${state}: ${message}`);
    const ended = state === 'TASK_ERROR' ? 'error' : state === 'TASK_DROPPED' ? 'dropped' : 'lost';
    counters.count(`task_${ended}/source_master/${reason.toLowerCase()}` as const);
    const status = masterStatus(state, taskId, reason, message, { agentId: task.agent_id.value });
    framework.stream?.send({ type: 'UPDATE', update: { status } });
  }
}
