import { allocate } from './allocator.js';
import {
  agentTotal,
  freeOf,
  isPartitionAware,
  taskKey,
  usedBy,
  type Agent,
  type AgentLink,
  type Framework,
  type LiveOffer,
  type SchedulerStream,
  type Task,
} from './cluster.js';
import { callCounters, Counters } from './counters.js';
import type { MasterInfo } from '../election.js';
import type { Log } from '../log.js';
import {
  isTerminal,
  masterStatus,
  type Filters,
  type FrameworkInfo,
  type Offer,
  type SchedulerCall,
  type TaskInfo,
  type TaskState,
  type TaskStatus,
} from '../messages.js';
import type { AgentUpdate, Registration } from '../protocol.js';
import type { Registry, RegistryAgent, RegistryContent } from './registry.js';
import { add, fromApi, noResources, subtract, sum, toApi, type Resources } from '../resources.js';
import { validateTask } from './validate.js';

export interface MasterSettings {
  readonly agentPingTimeoutMs: number;
  readonly maxAgentPingTimeouts: number;
  readonly agentReregisterTimeoutMs: number;
  readonly allocationIntervalMs: number;
  readonly offerTimeoutMs?: number;
  readonly maxCompletedFrameworks: number;
  readonly maxCompletedTasks: number;
}

const heartbeatSeconds = 15;
const defaultRefuseSeconds = 5;
/** Node's timers hold 31 bits. */
const longestTimerMs = 2 ** 31 - 1;

/**
 * The leading master: agents, frameworks, offers and tasks. It knows no sockets (streams and links are handed
 * in) and no election (it is made when this process leads, and the process ends when it does not).
 */
export class Master {
  readonly agents = new Map<string, Agent>();
  /** Admitted by an earlier leader and not yet back. */
  readonly recoveredAgents = new Map<string, RegistryAgent>();
  readonly unreachableAgents = new Map<string, { readonly hostname: string; readonly at: number }>();
  readonly frameworks = new Map<string, Framework>();
  readonly completedFrameworks: Framework[] = [];
  readonly offers = new Map<string, LiveOffer>();
  readonly counters = new Counters();
  /** Agents that this very master gave up, which counts for what is done with their old tasks. */
  readonly #givenUp = new Set<string>();
  #nextAgent = 0;
  #nextFramework = 0;
  #nextOffer = 0;
  #allocationDue = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(
    readonly info: MasterInfo,
    readonly settings: MasterSettings,
    readonly registry: Registry,
    readonly log: Log,
  ) {}

  /** Starts with what an earlier leader wrote down. */
  start(content: RegistryContent): void {
    for (const { id, hostname, at } of content.unreachable) this.unreachableAgents.set(id, { hostname, at });
    for (const agent of content.agents) this.recoveredAgents.set(agent.id, agent);
    this.log.info(`Recovered ${content.agents.length} agents from the registry`);
    if (this.recoveredAgents.size > 0) {
      setTimeout(() => this.#giveUpAbsentAgents(), this.settings.agentReregisterTimeoutMs);
    }
    setInterval(() => this.#allocate(), this.settings.allocationIntervalMs);
    setInterval(() => this.#countPings(), this.settings.agentPingTimeoutMs);
  }

  // --- agents ---------------------------------------------------------------------------------------------

  /** Admits an agent, new or back, and resolves to its ID once the registry has it. */
  async register(registration: Registration, link: AgentLink): Promise<string> {
    return await this.#inTurn(async () => {
      const { agent: info } = registration;
      const id = info.id ?? `${this.info.id}-S${this.#nextAgent++}`;
      await this.#replaceOthersAt(info, id);
      const known = this.agents.get(id);
      if (known) {
        known.link?.close();
        known.info = { ...info, id };
        known.reregisteredAt = Date.now();
        this.#countRegistration(false);
        this.log.info(`Re-registered agent ${id} (${info.hostname})`);
        this.#connected(known, link);
        this.#dropTasksUnknownTo(known, registration);
        this.#takeTasksOf(known, registration, { givenUp: false, unreachable: false });
      } else {
        await this.#admit(id, registration, link);
      }
      this.#allocateSoon();
      return id;
    });
  }

  async #admit(id: string, registration: Registration, link: AgentLink): Promise<void> {
    const { agent: info } = registration;
    const before = {
      givenUp: this.#givenUp.delete(id),
      unreachable: this.unreachableAgents.delete(id),
    };
    this.recoveredAgents.delete(id);
    await this.#store({ id, hostname: info.hostname, ip: info.ip, port: info.port });
    const isNew = info.id === undefined;
    this.#countRegistration(isNew);
    this.log.info(
      `${isNew ? 'Registered' : 'Re-registered'} agent ${id} at ${info.ip}:${info.port} (${info.hostname})`,
    );
    const agent: Agent = {
      id,
      info: { ...info, id },
      link: undefined,
      registeredAt: Date.now(),
      reregisteredAt: isNew ? undefined : Date.now(),
      tasks: new Map(),
      killed: new Map(),
      missedPings: 0,
      heard: true,
    };
    this.agents.set(id, agent);
    this.#connected(agent, link);
    this.#takeTasksOf(agent, registration, before);
  }

  #countRegistration(isNew: boolean): void {
    this.counters.count(isNew ? 'messages_register_slave' : 'messages_reregister_slave');
    this.counters.count(isNew ? 'slave_registrations' : 'slave_reregistrations');
    // The stand-in's agents say at once what the real ones say in a message of its own.
    this.counters.count('messages_update_slave');
  }

  /** Where one agent listens no other can: it came without what it had known before. */
  async #replaceOthersAt({ ip, port }: Registration['agent'], id: string): Promise<void> {
    for (const other of [...this.agents.values()]) {
      if (other.id !== id && other.info.ip === ip && other.info.port === port) {
        await this.#removeAgent(other, 'a new agent registered at the same address');
      }
    }
    for (const [otherId, other] of this.recoveredAgents) {
      if (otherId !== id && other.ip === ip && other.port === port) this.recoveredAgents.delete(otherId);
    }
  }

  /** One change of the registry, with all that follows from it, after the other. */
  async #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(change);
    this.#turn = turn.catch(this.#fatal);
    return await turn;
  }

  /** The agent answered a ping, or said anything else. */
  heard(agentId: string): void {
    const agent = this.agents.get(agentId);
    if (agent) agent.heard = true;
  }

  /** The connection of that agent broke. It stays, without offers, until pings have failed for long enough. */
  disconnected(agentId: string, link: AgentLink): void {
    const agent = this.agents.get(agentId);
    if (agent?.link !== link) return;
    agent.link = undefined;
    agent.heard = false;
    this.log.info(`Disconnecting agent ${agentId} at ${agent.info.ip}:${agent.info.port}`);
    this.#rescindOffersOf(agent);
  }

  updateFrom(
    agentId: string,
    { framework_id: frameworkId, status, latest_state: latest }: AgentUpdate,
  ): void {
    this.counters.count('messages_status_update');
    const framework = this.frameworks.get(frameworkId);
    this.counters.count(framework ? 'valid_status_updates' : 'invalid_status_updates');
    if (!framework) {
      if (this.#isCompleted(frameworkId)) this.#shutDownFramework(agentId, frameworkId);
      return;
    }
    const taskId = status.task_id.value;
    const task = framework.tasks.get(taskId);
    this.log.info(
      `Status update ${status.state} for task ${taskId} of framework ${frameworkId} from agent ${agentId}`,
    );
    if (task) {
      task.state = latest;
      const last = task.statuses.at(-1);
      if (last?.uuid === status.uuid) task.statuses.pop();
      task.statuses.push(status);
      if (status.uuid !== undefined) task.told = { state: status.state, uuid: status.uuid };
      if (isTerminal(latest)) this.#allocationDue = true;
    }
    framework.stream?.send({ type: 'UPDATE', update: { status } });
  }

  #connected(agent: Agent, link: AgentLink): void {
    agent.link = link;
    agent.heard = true;
    agent.missedPings = 0;
    const { agentPingTimeoutMs, maxAgentPingTimeouts } = this.settings;
    link.send({
      type: 'REGISTERED',
      registered: { agent_id: agent.id, silence_ms: agentPingTimeoutMs * maxAgentPingTimeouts },
    });
    for (const framework of this.frameworks.values()) {
      if (framework.stream) link.send({ type: 'FRAMEWORK', framework: { info: framework.info } });
    }
  }

  /** An agent that this master has known all along: what it does not have any more is lost. */
  #dropTasksUnknownTo(agent: Agent, registration: Registration): void {
    const has = new Set(
      registration.tasks.map((task) => taskKey(task.framework_id, task.info.task_id.value)),
    );
    for (const [key, task] of [...agent.tasks]) {
      if (has.has(key)) continue;
      const framework = this.frameworks.get(task.frameworkId);
      if (framework && !isTerminal(task.state)) {
        this.#tell(
          framework,
          task.state === 'TASK_STAGING' && isPartitionAware(framework) ? 'TASK_DROPPED' : 'TASK_LOST',
          task,
          'REASON_RECONCILIATION',
          'Reconciliation: Task is unknown to the agent',
        );
      }
      this.#complete(task);
    }
  }

  #takeTasksOf(
    agent: Agent,
    { tasks, frameworks }: Registration,
    before: { readonly givenUp: boolean; readonly unreachable: boolean },
  ): void {
    for (const info of frameworks) {
      const id = info.id?.value;
      if (id === undefined) continue;
      if (this.#isCompleted(id)) this.#shutDownFramework(agent.id, id);
      else if (!this.frameworks.has(id)) this.#recoverFramework(id, info, agent);
    }
    for (const { framework_id: frameworkId, info, state, statuses } of tasks) {
      const framework = this.frameworks.get(frameworkId);
      if (!framework) continue;
      const taskId = info.task_id.value;
      const key = taskKey(frameworkId, taskId);
      if (before.givenUp && !isPartitionAware(framework)) {
        // Its framework has been told that it is lost, and may have put another one in its place.
        agent.link?.send({ type: 'KILL', kill: { framework_id: frameworkId, task_id: taskId } });
        continue;
      }
      const known = agent.tasks.get(key);
      const last = statuses.at(-1);
      const task: Task = known ?? {
        frameworkId,
        agentId: agent.id,
        info,
        resources: fromApi(info.resources),
        state,
        statuses: [...statuses],
        ...(last?.uuid !== undefined && { told: { state: last.state, uuid: last.uuid } }),
      };
      task.state = state;
      agent.tasks.set(key, task);
      framework.tasks.set(taskId, task);
      const wasUnreachable = framework.unreachableTasks.delete(taskId) || before.unreachable;
      // Of an end its own update tells, and is to be acknowledged.
      if (wasUnreachable && !isTerminal(state)) {
        this.#tell(framework, state, task, 'REASON_AGENT_REREGISTERED', 'Unreachable agent re-registered');
      }
      if (agent.killed.has(key)) this.#sendKill(agent, task, undefined);
    }
    agent.killed.clear();
  }

  #recoverFramework(id: string, info: FrameworkInfo, agent: Agent): void {
    this.log.info(`Recovering framework ${id} from re-registering agent ${agent.id}`);
    const framework = this.#makeFramework(id, info);
    framework.recovered = true;
    this.#startFailoverTimer(framework);
  }

  #countPings(): void {
    for (const agent of [...this.agents.values()]) {
      agent.missedPings = agent.heard ? 0 : agent.missedPings + 1;
      agent.heard = false;
      if (agent.missedPings >= this.settings.maxAgentPingTimeouts) {
        void this.#inTurn(async () => {
          // It may have come back while it stood in the queue.
          if (this.agents.get(agent.id) === agent && !agent.heard) {
            await this.#markUnreachable(agent, 'health check timed out');
          }
        });
      }
    }
  }

  #giveUpAbsentAgents(): void {
    const now = Date.now();
    for (const { id, hostname } of this.recoveredAgents.values()) {
      this.log.warn(`Agent ${id} (${hostname}) did not re-register in time; it is unreachable`);
      this.unreachableAgents.set(id, { hostname, at: now });
    }
    this.recoveredAgents.clear();
    void this.#inTurn(() => this.#store());
  }

  async #markUnreachable(agent: Agent, why: string): Promise<void> {
    const at = Date.now();
    this.log.warn(`Marking agent ${agent.id} (${agent.info.hostname}) unreachable: ${why}`);
    this.unreachableAgents.set(agent.id, { hostname: agent.info.hostname, at });
    this.#givenUp.add(agent.id);
    this.counters.count('slave_unreachable_scheduled');
    this.counters.count('slave_unreachable_completed');
    this.counters.count('slave_removals');
    this.counters.count('slave_removals/reason_unhealthy');
    await this.#forget(agent, (framework, task) => {
      const text = `Agent ${agent.info.hostname} is unreachable: ${why}`;
      if (isPartitionAware(framework)) {
        this.#tell(framework, 'TASK_UNREACHABLE', task, 'REASON_AGENT_REMOVED', text, at);
        framework.tasks.delete(task.info.task_id.value);
        framework.unreachableTasks.set(task.info.task_id.value, task);
        task.state = 'TASK_UNREACHABLE';
      } else {
        this.#tell(framework, 'TASK_LOST', task, 'REASON_AGENT_REMOVED', text);
        this.#complete(task);
      }
    });
  }

  async #removeAgent(agent: Agent, why: string): Promise<void> {
    this.log.info(`Removing agent ${agent.id} (${agent.info.hostname}): ${why}`);
    this.counters.count('slave_removals');
    this.counters.count('slave_removals/reason_registered');
    await this.#forget(agent, (framework, task) => {
      const state = isPartitionAware(framework) ? 'TASK_GONE' : 'TASK_LOST';
      const text = `Agent ${agent.info.hostname} removed: ${why}`;
      this.#tell(framework, state, task, 'REASON_AGENT_REMOVED', text);
      this.#complete(task);
    });
  }

  async #forget(agent: Agent, each: (framework: Framework, task: Task) => void): Promise<void> {
    this.agents.delete(agent.id);
    agent.link?.close();
    agent.link = undefined;
    this.#rescindOffersOf(agent);
    await this.#store();
    for (const task of [...agent.tasks.values()]) {
      const framework = this.frameworks.get(task.frameworkId);
      if (framework && !isTerminal(task.state)) each(framework, task);
    }
    for (const { stream } of this.frameworks.values()) {
      stream?.send({ type: 'FAILURE', failure: { agent_id: { value: agent.id } } });
    }
  }

  async #store(admitted?: RegistryAgent): Promise<void> {
    await this.registry.store({
      agents: [
        ...(admitted ? [admitted] : []),
        ...[...this.agents.values()].map(({ id, info }) => ({
          id,
          hostname: info.hostname,
          ip: info.ip,
          port: info.port,
        })),
        ...this.recoveredAgents.values(),
      ],
      unreachable: [...this.unreachableAgents].map(([id, { hostname, at }]) => ({ id, hostname, at })),
    });
  }

  /** Without its registry a master cannot lead. */
  readonly #fatal = (error: unknown): void => {
    this.log.error(`Failed to update the registry: ${String(error)}`);
    process.exit(1);
  };

  // --- frameworks -----------------------------------------------------------------------------------------

  /** Subscribes a framework, a new one or one that is back, on this stream. */
  subscribe(info: FrameworkInfo, stream: SchedulerStream): void {
    const givenId = info.id?.value;
    if (givenId !== undefined && this.#isCompleted(givenId)) {
      stream.send({ type: 'ERROR', error: { message: 'Framework has been removed' } });
      stream.close();
      return;
    }
    const id = givenId ?? `${this.info.id}-${String(this.#nextFramework++).padStart(4, '0')}`;
    this.counters.count(
      givenId === undefined ? 'messages_register_framework' : 'messages_reregister_framework',
    );
    const known = this.frameworks.get(id);
    const framework = known ?? this.#makeFramework(id, info);
    this.log.info(`Subscribing framework '${info.name}' (${id})`);
    if (known) {
      this.#removeOffersOf(framework);
      known.stream?.send({ type: 'ERROR', error: { message: 'Framework failed over' } });
      known.stream?.close();
      known.reregisteredAt = Date.now();
    }
    clearTimeout(framework.failover);
    clearInterval(framework.heartbeat);
    framework.info = { ...info, id: { value: id } };
    framework.recovered = false;
    framework.suppressed = false;
    framework.filters = [];
    framework.stream = stream;
    stream.send({
      type: 'SUBSCRIBED',
      subscribed: {
        framework_id: { value: id },
        heartbeat_interval_seconds: heartbeatSeconds,
        master_info: this.info,
      },
    });
    const beat = () => stream.send({ type: 'HEARTBEAT' });
    beat();
    framework.heartbeat = setInterval(beat, heartbeatSeconds * 1000);
    for (const agent of this.agents.values()) {
      agent.link?.send({ type: 'FRAMEWORK', framework: { info: framework.info } });
    }
    this.#allocateSoon();
  }

  /** The stream of a framework ended. It has its `failover_timeout` to come back. */
  unsubscribed(stream: SchedulerStream): void {
    const framework = [...this.frameworks.values()].find((candidate) => candidate.stream === stream);
    if (!framework) return;
    this.log.info(`Disconnecting framework ${framework.id} (${framework.info.name})`);
    framework.stream = undefined;
    framework.filters = [];
    clearInterval(framework.heartbeat);
    this.#removeOffersOf(framework);
    this.#startFailoverTimer(framework);
  }

  /** Does what a framework asks for; the caller has checked the call and its stream. */
  handle(framework: Framework, call: SchedulerCall): void {
    const counter = callCounters[call.type ?? ''];
    if (counter !== undefined) this.counters.count(counter);
    if (call.accept?.operations.some(({ type }) => type === 'LAUNCH')) {
      this.counters.count('messages_launch_tasks');
    }
    switch (call.type) {
      case 'ACCEPT':
        if (call.accept) this.#accept(framework, call.accept);
        return;
      case 'DECLINE':
        for (const { value } of call.decline?.offer_ids ?? []) {
          this.#declineOffer(framework, value, call.decline?.filters);
        }
        return;
      case 'SUPPRESS':
        framework.suppressed = true;
        return;
      case 'REVIVE':
        framework.suppressed = false;
        framework.filters = [];
        this.#allocateSoon();
        return;
      case 'KILL':
        if (call.kill) this.#kill(framework, call.kill);
        return;
      case 'SHUTDOWN':
        // The executor of a command task has the task's own ID.
        if (call.shutdown) {
          const { executor_id: taskId, agent_id: agentId } = call.shutdown;
          const task = framework.tasks.get(taskId.value);
          if (task?.agentId === agentId.value) this.#kill(framework, { task_id: taskId });
        }
        return;
      case 'ACKNOWLEDGE':
        if (call.acknowledge) this.#acknowledge(framework, call.acknowledge);
        return;
      case 'RECONCILE':
        this.#reconcile(framework, call.reconcile?.tasks ?? []);
        return;
      case 'TEARDOWN':
        this.log.info(`Processing TEARDOWN call for framework ${framework.id} (${framework.info.name})`);
        this.#removeFramework(framework);
        return;
      case 'ACCEPT_INVERSE_OFFERS':
      case 'DECLINE_INVERSE_OFFERS':
      case 'MESSAGE':
      case 'REQUEST':
        this.log.warn(`Ignoring ${call.type} call of framework ${framework.id}: not part of the stand-in`);
        return;
      case 'SUBSCRIBE':
      case undefined:
        throw new Error(`a ${call.type ?? 'nameless'} call is not handled here`);
    }
  }

  #makeFramework(id: string, info: FrameworkInfo): Framework {
    const now = Date.now();
    const framework: Framework = {
      id,
      info: { ...info, id: { value: id } },
      stream: undefined,
      recovered: false,
      suppressed: false,
      registeredAt: now,
      reregisteredAt: now,
      filters: [],
      heartbeat: undefined,
      failover: undefined,
      tasks: new Map(),
      unreachableTasks: new Map(),
      completedTasks: [],
    };
    this.frameworks.set(id, framework);
    return framework;
  }

  #startFailoverTimer(framework: Framework): void {
    const seconds = framework.info.failover_timeout ?? 0;
    this.log.info(`Giving framework ${framework.id} ${seconds}secs to failover`);
    this.#awaitFailover(framework, Date.now() + seconds * 1000);
  }

  #awaitFailover(framework: Framework, deadline: number): void {
    clearTimeout(framework.failover);
    framework.failover = setTimeout(
      () => {
        if (Date.now() < deadline) {
          this.#awaitFailover(framework, deadline);
          return;
        }
        this.log.info(`Framework failover timeout, removing framework ${framework.id}`);
        this.#removeFramework(framework);
      },
      Math.min(deadline - Date.now(), longestTimerMs),
    );
  }

  #removeFramework(framework: Framework): void {
    clearTimeout(framework.failover);
    clearInterval(framework.heartbeat);
    framework.stream?.close();
    framework.stream = undefined;
    framework.unregisteredAt = Date.now();
    this.#removeOffersOf(framework);
    for (const agent of this.agents.values()) this.#shutDownFramework(agent.id, framework.id);
    for (const task of [...framework.tasks.values()]) {
      if (!isTerminal(task.state)) {
        const text = `Framework ${framework.id} removed`;
        const taskId = task.info.task_id.value;
        task.statuses.push(
          masterStatus('TASK_KILLED', taskId, 'REASON_FRAMEWORK_REMOVED', text, { agentId: task.agentId }),
        );
        task.state = 'TASK_KILLED';
      }
      this.#complete(task);
    }
    this.frameworks.delete(framework.id);
    this.completedFrameworks.push(framework);
    if (this.completedFrameworks.length > this.settings.maxCompletedFrameworks) {
      this.completedFrameworks.shift();
    }
    this.#allocateSoon();
  }

  #isCompleted(frameworkId: string): boolean {
    return this.completedFrameworks.some(({ id }) => id === frameworkId);
  }

  #shutDownFramework(agentId: string, frameworkId: string): void {
    this.agents
      .get(agentId)
      ?.link?.send({ type: 'SHUTDOWN_FRAMEWORK', shutdown_framework: { framework_id: frameworkId } });
  }

  // --- offers ---------------------------------------------------------------------------------------------

  #accept(framework: Framework, accept: NonNullable<SchedulerCall['accept']>): void {
    const taken = accept.offer_ids.map(({ value }) => ({ id: value, offer: this.offers.get(value) }));
    const tasks = accept.operations.flatMap((operation) => [
      ...(operation.launch?.task_infos ?? []),
      ...(operation.launch_group?.task_group.tasks ?? []),
    ]);
    const invalid = invalidOffers(framework, taken);
    const mine = taken.flatMap(({ offer }) => (offer?.frameworkId === framework.id ? [offer] : []));
    for (const offer of mine) this.#removeOffer(offer);
    if (invalid !== undefined) {
      this.log.warn(`ACCEPT call used invalid offers: ${invalid}`);
      const state = isPartitionAware(framework) ? 'TASK_DROPPED' : 'TASK_LOST';
      for (const task of tasks) {
        this.#refuse(
          framework,
          task,
          state,
          'REASON_INVALID_OFFERS',
          `Task launched with invalid offers: ${invalid}`,
        );
      }
      return;
    }
    const agent = this.agents.get(mine[0]?.agentId ?? '');
    if (!agent) return;
    let available = sum(mine.map((offer) => offer.resources));
    for (const operation of accept.operations) {
      if (operation.type !== 'LAUNCH') {
        this.log.warn(`Ignoring ${operation.type}: not part of the stand-in`);
        for (const task of operation.launch_group?.task_group.tasks ?? []) {
          this.#refuse(
            framework,
            task,
            'TASK_ERROR',
            'REASON_TASK_GROUP_INVALID',
            'The stand-in launches no task groups',
          );
        }
        continue;
      }
      for (const task of operation.launch?.task_infos ?? []) {
        const problem = validateTask(task, {
          agentId: agent.id,
          available,
          taken: framework.tasks.has(task.task_id.value),
        });
        if (problem !== undefined) {
          this.#refuse(framework, task, 'TASK_ERROR', 'REASON_TASK_INVALID', problem);
          continue;
        }
        available = subtract(available, fromApi(task.resources));
        this.#launch(framework, agent, task);
      }
    }
    this.#filter(framework, agent.id, available, accept.filters);
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
    this.log.info(`Launching task ${taskId} of framework ${framework.id} on agent ${agent.id}`);
    agent.link?.send({ type: 'LAUNCH', launch: { framework: framework.info, task: info } });
  }

  #refuse(
    framework: Framework,
    task: TaskInfo,
    state: TaskState,
    reason: `REASON_${string}`,
    text: string,
  ): void {
    const taskId = task.task_id.value;
    this.log.warn(`Task ${taskId} of framework ${framework.id}: ${state}: ${text}`);
    const ended = state === 'TASK_ERROR' ? 'error' : state === 'TASK_DROPPED' ? 'dropped' : 'lost';
    this.counters.count(`task_${ended}/source_master/${reason.toLowerCase()}` as const);
    const status = masterStatus(state, taskId, reason, text, { agentId: task.agent_id.value });
    framework.stream?.send({ type: 'UPDATE', update: { status } });
  }

  #declineOffer(framework: Framework, offerId: string, filters: Filters | undefined): void {
    const offer = this.offers.get(offerId);
    if (offer?.frameworkId !== framework.id) return;
    this.#removeOffer(offer);
    this.#filter(framework, offer.agentId, offer.resources, filters);
  }

  #filter(framework: Framework, agentId: string, resources: Resources, filters: Filters | undefined): void {
    const ms = (filters?.refuse_seconds ?? defaultRefuseSeconds) * 1000;
    const now = Date.now();
    framework.filters = framework.filters.filter(({ until }) => until > now);
    if (ms > 0) framework.filters.push({ agentId, resources, until: now + ms });
  }

  #removeOffer(offer: LiveOffer): void {
    clearTimeout(offer.expiry);
    this.offers.delete(offer.id);
  }

  #removeOffersOf(framework: Framework): void {
    for (const offer of [...this.offers.values()]) {
      if (offer.frameworkId === framework.id) this.#removeOffer(offer);
    }
  }

  #rescindOffersOf(agent: Agent): void {
    for (const offer of [...this.offers.values()]) {
      if (offer.agentId === agent.id) this.#rescind(offer);
    }
  }

  #rescind(offer: LiveOffer): void {
    this.#removeOffer(offer);
    this.frameworks
      .get(offer.frameworkId)
      ?.stream?.send({ type: 'RESCIND', rescind: { offer_id: { value: offer.id } } });
  }

  #allocateSoon(): void {
    setImmediate(() => this.#allocate());
  }

  #allocate(): void {
    this.#allocationDue = false;
    const agents = [...this.agents.values()].filter((agent) => agent.link !== undefined);
    const claimants = [...this.frameworks.values()].filter(
      (framework) => framework.stream && !framework.suppressed,
    );
    if (agents.length === 0 || claimants.length === 0) return;
    const offers = [...this.offers.values()];
    const allocations = allocate(
      agents.map((agent) => ({ id: agent.id, free: freeOf(agent, offers) })),
      claimants.map((framework) => ({
        id: framework.id,
        held: add(
          usedBy(framework.tasks.values()),
          sum(
            offers
              .filter(({ frameworkId }) => frameworkId === framework.id)
              .map(({ resources }) => resources),
          ),
        ),
        filters: framework.filters,
      })),
      agents.reduce((total, agent) => add(total, agentTotal(agent)), noResources),
      Date.now(),
    );
    for (const framework of claimants) {
      const made = allocations
        .filter(({ frameworkId }) => frameworkId === framework.id)
        .flatMap(({ agentId, resources }) => this.#offer(framework, agentId, resources));
      if (made.length === 0) continue;
      this.log.info(`Sending ${made.length} offers to framework ${framework.id} (${framework.info.name})`);
      framework.stream?.send({ type: 'OFFERS', offers: { offers: made } });
    }
  }

  #offer(framework: Framework, agentId: string, resources: Resources): Offer[] {
    const agent = this.agents.get(agentId);
    if (!agent) return [];
    const id = `${this.info.id}-O${this.#nextOffer++}`;
    const { offerTimeoutMs } = this.settings;
    const offer: LiveOffer = {
      id,
      frameworkId: framework.id,
      agentId,
      resources,
      expiry:
        offerTimeoutMs === undefined ? undefined : setTimeout(() => this.#rescind(offer), offerTimeoutMs),
    };
    this.offers.set(id, offer);
    const { hostname, ip, port, attributes } = agent.info;
    return [
      {
        id: { value: id },
        framework_id: { value: framework.id },
        agent_id: { value: agentId },
        hostname,
        resources: toApi(resources),
        attributes,
        url: { scheme: 'http', address: { hostname, ip, port }, path: '/slave(1)' },
      },
    ];
  }

  // --- tasks ----------------------------------------------------------------------------------------------

  #kill(framework: Framework, kill: NonNullable<SchedulerCall['kill']>): void {
    const taskId = kill.task_id.value;
    const task = framework.tasks.get(taskId);
    if (!task) {
      this.log.warn(`Cannot kill task ${taskId} of framework ${framework.id}: it is unknown; reconciling`);
      this.#reconcile(framework, [kill]);
      return;
    }
    const agent = this.agents.get(task.agentId);
    if (!agent) return;
    const graceNs = (kill.kill_policy ?? task.info.kill_policy)?.grace_period?.nanoseconds;
    if (agent.link) {
      this.#sendKill(agent, task, graceNs);
    } else {
      agent.killed.set(taskKey(framework.id, taskId), { frameworkId: framework.id, taskId });
    }
  }

  #sendKill(agent: Agent, task: Task, graceNs: number | undefined): void {
    this.log.info(`Telling agent ${agent.id} to kill task ${task.info.task_id.value}`);
    agent.link?.send({
      type: 'KILL',
      kill: {
        framework_id: task.frameworkId,
        task_id: task.info.task_id.value,
        ...(graceNs !== undefined && { grace_ms: graceNs / 1_000_000 }),
      },
    });
  }

  #acknowledge(framework: Framework, call: NonNullable<SchedulerCall['acknowledge']>): void {
    const taskId = call.task_id.value;
    const agent = this.agents.get(call.agent_id.value);
    this.counters.count(
      agent?.link ? 'valid_status_update_acknowledgements' : 'invalid_status_update_acknowledgements',
    );
    if (!agent?.link) {
      this.log.warn(
        `Cannot send status update acknowledgement for task ${taskId}: agent ${call.agent_id.value} is not connected`,
      );
      return;
    }
    const task = framework.tasks.get(taskId);
    if (task?.told && isTerminal(task.told.state) && task.told.uuid === call.uuid) this.#complete(task);
    agent.link.send({
      type: 'ACKNOWLEDGE',
      acknowledge: { framework_id: framework.id, task_id: taskId, uuid: call.uuid },
    });
  }

  /**
   * Answers with the state of tasks: of the named ones, or of all. Nothing is said about a task that may be on
   * an agent which this leader still waits for. (Algorithm: Mesos' "Task Reconciliation" document.)
   */
  #reconcile(
    framework: Framework,
    asked: readonly {
      readonly task_id: { readonly value: string };
      readonly agent_id?: { readonly value: string };
    }[],
  ): void {
    const statuses =
      asked.length > 0
        ? asked.flatMap(({ task_id, agent_id }) => this.#explicit(framework, task_id.value, agent_id?.value))
        : [...framework.tasks.values()].map((task) => latest(task));
    for (const status of statuses) framework.stream?.send({ type: 'UPDATE', update: { status } });
  }

  #explicit(framework: Framework, taskId: string, agentId: string | undefined): TaskStatus[] {
    const reply = (state: TaskState, text: string, unreachableAt?: number) => [
      masterStatus(state, taskId, 'REASON_RECONCILIATION', `Reconciliation: ${text}`, {
        ...(agentId !== undefined && { agentId }),
        ...(unreachableAt !== undefined && { unreachableAt }),
      }),
    ];
    const aware = isPartitionAware(framework);
    const task = framework.tasks.get(taskId);
    if (task) return [latest(task)];
    if (agentId !== undefined && this.agents.has(agentId)) {
      return reply(aware ? 'TASK_GONE' : 'TASK_LOST', 'Task is unknown');
    }
    const lostAgent = framework.unreachableTasks.get(taskId)?.agentId ?? agentId;
    const unreachable = lostAgent === undefined ? undefined : this.unreachableAgents.get(lostAgent);
    if (unreachable) {
      return aware
        ? reply('TASK_UNREACHABLE', 'Task is unreachable', unreachable.at)
        : reply('TASK_LOST', 'Task is unreachable');
    }
    const mayComeBack =
      agentId === undefined ? this.recoveredAgents.size > 0 : this.recoveredAgents.has(agentId);
    if (mayComeBack) {
      this.log.info(
        `Dropping reconciliation of task ${taskId}: there are agents that have not re-registered yet`,
      );
      return [];
    }
    return reply(aware ? 'TASK_UNKNOWN' : 'TASK_LOST', 'Task is unknown');
  }

  #tell(
    framework: Framework,
    state: TaskState,
    task: Task,
    reason: string,
    text: string,
    unreachableAt?: number,
  ): void {
    const containerStatus = task.statuses.at(-1)?.container_status;
    const status = masterStatus(state, task.info.task_id.value, reason, text, {
      agentId: task.agentId,
      ...(containerStatus !== undefined && { containerStatus }),
      ...(unreachableAt !== undefined && { unreachableAt }),
    });
    framework.stream?.send({ type: 'UPDATE', update: { status } });
    if (isTerminal(state)) task.state = state;
  }

  #complete(task: Task): void {
    const taskId = task.info.task_id.value;
    this.agents.get(task.agentId)?.tasks.delete(taskKey(task.frameworkId, taskId));
    const framework = this.frameworks.get(task.frameworkId);
    if (framework?.tasks.get(taskId) !== task) return;
    framework.tasks.delete(taskId);
    framework.completedTasks.push(task);
    if (framework.completedTasks.length > this.settings.maxCompletedTasks) framework.completedTasks.shift();
    if (this.#allocationDue) this.#allocateSoon();
  }
}

function latest(task: Task): TaskStatus {
  const containerStatus = task.statuses.at(-1)?.container_status;
  return masterStatus(
    task.told?.state ?? task.state,
    task.info.task_id.value,
    'REASON_RECONCILIATION',
    'Reconciliation: Latest task state',
    { agentId: task.agentId, ...(containerStatus !== undefined && { containerStatus }) },
  );
}

function invalidOffers(
  framework: Framework,
  taken: readonly { readonly id: string; readonly offer: LiveOffer | undefined }[],
): string | undefined {
  const agentIds = new Map<string, string>();
  for (const { id, offer } of taken) {
    if (!offer) return `Offer ${id} is no longer valid`;
    if (offer.frameworkId !== framework.id) {
      return `Offer ${id} has invalid framework ${offer.frameworkId} while framework ${framework.id} is expected`;
    }
    agentIds.set(offer.agentId, id);
  }
  if (agentIds.size > 1)
    return `Aggregated offers must belong to one single agent: ${[...agentIds.keys()].join(', ')}`;
  return taken.length === 0 ? 'No offers specified' : undefined;
}
