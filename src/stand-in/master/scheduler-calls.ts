import type { SchedulerCall, TaskStatus } from '../messages.js';
import type { Framework } from './cluster.js';
import type { MasterContext } from './context.js';
import { callCounters } from './counters.js';
import type { Frameworks } from './frameworks.js';
import type { Kills } from './kills.js';
import type { Launches } from './launches.js';
import type { Maintenance } from './maintenance.js';
import type { Offers } from './offers.js';
import { reconcileAll, reconcileTasks, type ReconcileTask } from './reconciliation.js';
import type { StatusUpdates } from './status-updates.js';

interface Parts {
  readonly offers: Offers;
  readonly launches: Launches;
  readonly kills: Kills;
  readonly updates: StatusUpdates;
  readonly frameworks: Frameworks;
  readonly maintenance: Maintenance;
}

/** Handles calls of subscribed frameworks. */
export class SchedulerCalls {
  readonly #context: MasterContext;
  readonly #parts: Parts;

  constructor(context: MasterContext, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** @param call valid, from the framework's own stream */
  handle(framework: Framework, call: SchedulerCall): void {
    this.#count(call);
    const { offers, launches, updates } = this.#parts;
    switch (call.type) {
      case 'ACCEPT':
        if (call.accept) launches.accept(framework, call.accept);
        return;
      case 'DECLINE':
        for (const { value } of call.decline?.offer_ids ?? []) {
          offers.decline(framework, value, call.decline?.filters);
        }
        return;
      case 'SUPPRESS':
        framework.suppressed = true;
        return;
      case 'REVIVE':
        framework.suppressed = false;
        framework.filters = [];
        offers.allocateSoon();
        return;
      case 'KILL':
        if (call.kill) this.#kill(framework, call.kill);
        return;
      case 'SHUTDOWN':
        if (call.shutdown) this.#shutDown(framework, call.shutdown);
        return;
      case 'ACKNOWLEDGE':
        if (call.acknowledge) updates.acknowledge(framework, call.acknowledge);
        return;
      case 'RECONCILE':
        this.#reconcile(framework, call.reconcile?.tasks ?? []);
        return;
      case 'TEARDOWN':
        this.#tearDown(framework);
        return;
      case 'ACCEPT_INVERSE_OFFERS':
        this.#answer(framework, 'ACCEPT', call.accept_inverse_offers);
        return;
      case 'DECLINE_INVERSE_OFFERS':
        this.#answer(framework, 'DECLINE', call.decline_inverse_offers);
        return;
      case 'MESSAGE':
      case 'REQUEST':
        this.#context.log.warn(
          `Ignoring ${call.type} call of framework ${framework.id}: the stand-in does not support it`,
        );
        return;
      case 'SUBSCRIBE':
      case undefined:
        throw new Error(`a ${call.type ?? 'nameless'} call is not handled here`);
    }
  }

  #answer(
    framework: Framework,
    status: 'ACCEPT' | 'DECLINE',
    answer: SchedulerCall['accept_inverse_offers'],
  ): void {
    const ids = (answer?.inverse_offer_ids ?? []).map(({ value }) => value);
    this.#parts.maintenance.answer(framework, ids, status, answer?.filters);
  }

  #count(call: SchedulerCall): void {
    const { counters } = this.#context;
    const counter = callCounters[call.type ?? ''];
    if (counter !== undefined) counters.count(counter);
    if (call.accept?.operations.some(({ type }) => type === 'LAUNCH')) {
      counters.count('messages_launch_tasks');
    }
  }

  #kill(framework: Framework, kill: NonNullable<SchedulerCall['kill']>): void {
    const isKnown = this.#parts.kills.kill(framework, kill);
    if (!isKnown) this.#reconcile(framework, [kill]);
  }

  #shutDown(framework: Framework, shutdown: NonNullable<SchedulerCall['shutdown']>): void {
    // The executor of a command task has the task's ID.
    const { executor_id: taskId, agent_id: agentId } = shutdown;
    const task = framework.tasks.get(taskId.value);
    if (task?.agentId === agentId.value) this.#kill(framework, { task_id: taskId });
  }

  #tearDown(framework: Framework): void {
    const { log } = this.#context;
    log.info(`Processing TEARDOWN call for framework ${framework.id} (${framework.info.name})`);
    this.#parts.frameworks.remove(framework);
  }

  #reconcile(framework: Framework, tasks: readonly ReconcileTask[]): void {
    const { cluster, log } = this.#context;
    const { statuses, dropped } =
      tasks.length === 0
        ? { statuses: reconcileAll(framework), dropped: [] }
        : reconcileTasks(cluster, framework, tasks);
    for (const taskId of dropped) {
      log.info(`Dropping reconciliation of task ${taskId}: there are agents that have not re-registered yet`);
    }
    for (const status of statuses) send(framework, status);
  }
}

function send(framework: Framework, status: TaskStatus): void {
  framework.stream?.send({ type: 'UPDATE', update: { status } });
}
