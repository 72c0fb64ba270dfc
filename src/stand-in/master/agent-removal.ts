import { isTerminal } from '../messages.js';
import { isPartitionAware, type Agent, type Framework, type Task } from './cluster.js';
import type { MasterContext } from './context.js';
import type { Offers } from './offers.js';
import type { Registrar } from './registrar.js';
import type { Tasks } from './tasks.js';

/** How an agent was removed before it came back. */
export interface EarlierRemoval {
  /** This master process marked it unreachable and sent updates for its tasks. */
  readonly byThisMaster: boolean;
  /** The registry listed it as unreachable. */
  readonly unreachable: boolean;
}

/** Removes agents: as unreachable, or because another agent took over their address. */
export class AgentRemoval {
  readonly #context: MasterContext;
  readonly #registrar: Registrar;
  readonly #offers: Offers;
  readonly #tasks: Tasks;
  /** Agents that this master process marked unreachable. */
  readonly #marked = new Set<string>();

  constructor(context: MasterContext, registrar: Registrar, offers: Offers, tasks: Tasks) {
    this.#context = context;
    this.#registrar = registrar;
    this.#offers = offers;
    this.#tasks = tasks;
  }

  /** Takes a re-registering agent off the lists of removed ones. */
  revert(agentId: string): EarlierRemoval {
    const { unreachableAgents, recoveredAgents } = this.#context.cluster;
    recoveredAgents.delete(agentId);
    return { byThisMaster: this.#marked.delete(agentId), unreachable: unreachableAgents.delete(agentId) };
  }

  async markUnreachable(agent: Agent, why: string): Promise<void> {
    const { cluster, counters, log } = this.#context;
    const { hostname } = agent.info;
    const at = Date.now();
    log.warn(`Marking agent ${agent.id} (${hostname}) unreachable: ${why}`);
    cluster.unreachableAgents.set(agent.id, { hostname, at });
    this.#marked.add(agent.id);
    counters.count('slave_unreachable_scheduled');
    counters.count('slave_unreachable_completed');
    counters.count('slave_removals');
    counters.count('slave_removals/reason_unhealthy');
    const loss = { reason: 'REASON_AGENT_REMOVED', message: `Agent ${hostname} is unreachable: ${why}` };
    await this.#remove(agent, (framework, task) => {
      if (isPartitionAware(framework)) {
        this.#tasks.update(framework, task, { ...loss, state: 'TASK_UNREACHABLE', unreachableAt: at });
        this.#tasks.markUnreachable(framework, task);
      } else {
        this.#tasks.update(framework, task, { ...loss, state: 'TASK_LOST' });
        this.#tasks.complete(task);
      }
    });
  }

  /** Marks registry agents unreachable that have not re-registered in time. */
  markAbsentUnreachable(): void {
    const { recoveredAgents, unreachableAgents } = this.#context.cluster;
    const at = Date.now();
    for (const { id, hostname } of recoveredAgents.values()) {
      this.#context.log.warn(`Agent ${id} (${hostname}) did not re-register in time; it is unreachable`);
      unreachableAgents.set(id, { hostname, at });
    }
    recoveredAgents.clear();
    void this.#registrar.inTurn(() => this.#registrar.store());
  }

  /** Removes all other agents at the address of a registering agent, which replaces them. */
  async removeOthersAt({ ip, port }: Agent['info'], id: string): Promise<void> {
    const { agents, recoveredAgents } = this.#context.cluster;
    for (const other of [...agents.values()]) {
      if (other.id !== id && other.info.ip === ip && other.info.port === port) {
        await this.#removeReplaced(other);
      }
    }
    for (const [otherId, other] of recoveredAgents) {
      if (otherId !== id && other.ip === ip && other.port === port) recoveredAgents.delete(otherId);
    }
  }

  async #removeReplaced(agent: Agent): Promise<void> {
    const { counters, log } = this.#context;
    const why = 'a new agent registered at the same address';
    log.info(`Removing agent ${agent.id} (${agent.info.hostname}): ${why}`);
    counters.count('slave_removals');
    counters.count('slave_removals/reason_registered');
    await this.#remove(agent, (framework, task) => {
      this.#tasks.update(framework, task, {
        state: isPartitionAware(framework) ? 'TASK_GONE' : 'TASK_LOST',
        reason: 'REASON_AGENT_REMOVED',
        message: `Agent ${agent.info.hostname} removed: ${why}`,
      });
      this.#tasks.complete(task);
    });
  }

  /** @param lose called for each non-terminal task once the registry has stored the removal */
  async #remove(agent: Agent, lose: (framework: Framework, task: Task) => void): Promise<void> {
    const { cluster } = this.#context;
    cluster.agents.delete(agent.id);
    agent.link?.close();
    agent.link = undefined;
    this.#offers.rescindAllOf(agent);
    await this.#registrar.store();
    for (const task of [...agent.tasks.values()]) {
      const framework = cluster.frameworks.get(task.frameworkId);
      if (framework && !isTerminal(task.state)) lose(framework, task);
    }
    for (const { stream } of cluster.frameworks.values()) {
      stream?.send({ type: 'FAILURE', failure: { agent_id: { value: agent.id } } });
    }
  }
}
