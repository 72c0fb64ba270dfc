import type { Registration } from '../protocol.js';
import type { AgentRemoval } from './agent-removal.js';
import type { Agent, AgentLink } from './cluster.js';
import type { MasterContext } from './context.js';
import type { Offers } from './offers.js';
import type { Registrar } from './registrar.js';
import type { TaskRecovery } from './task-recovery.js';

/** Registers and re-registers agents. */
export class Agents {
  readonly #context: MasterContext;
  readonly #registrar: Registrar;
  readonly #offers: Offers;
  readonly #removal: AgentRemoval;
  readonly #recovery: TaskRecovery;
  #next = 0;

  constructor(
    context: MasterContext,
    registrar: Registrar,
    offers: Offers,
    removal: AgentRemoval,
    recovery: TaskRecovery,
  ) {
    this.#context = context;
    this.#registrar = registrar;
    this.#offers = offers;
    this.#removal = removal;
    this.#recovery = recovery;
  }

  /** Registers an agent, new or returning. Resolves to its ID once the registry has stored it. */
  async register(registration: Registration, link: AgentLink): Promise<string> {
    return await this.#registrar.inTurn(async () => {
      const { agent: info } = registration;
      const id = info.id ?? `${this.#context.info.id}-S${this.#next++}`;
      await this.#removal.removeOthersAt(info, id);
      const known = this.#context.cluster.agents.get(id);
      if (known) this.#reconnect(known, registration, link);
      else await this.#admit(id, registration, link);
      this.#offers.allocateSoon();
      return id;
    });
  }

  /** An agent's connection broke. The agent stays, without offers, until it misses too many pings. */
  disconnected(agentId: string, link: AgentLink): void {
    const agent = this.#context.cluster.agents.get(agentId);
    if (agent?.link !== link) return;
    agent.link = undefined;
    agent.answeredPing = false;
    this.#context.log.info(`Disconnecting agent ${agentId} at ${agent.info.ip}:${agent.info.port}`);
    this.#offers.rescindAllOf(agent);
  }

  /** A known agent opened a new connection. */
  #reconnect(agent: Agent, registration: Registration, link: AgentLink): void {
    const { agent: info } = registration;
    agent.link?.close();
    agent.info = { ...info, id: agent.id };
    agent.reregisteredAt = Date.now();
    this.#countRegistration(false);
    this.#context.log.info(`Re-registered agent ${agent.id} (${info.hostname})`);
    this.#connect(agent, link);
    this.#recovery.dropUnknown(agent, registration);
    this.#recovery.recover(agent, registration, { byThisMaster: false, unreachable: false });
  }

  async #admit(id: string, registration: Registration, link: AgentLink): Promise<void> {
    const { agent: info } = registration;
    const { hostname, ip, port } = info;
    const earlier = this.#removal.revert(id);
    await this.#registrar.store({ id, hostname, ip, port });
    const isNew = info.id === undefined;
    this.#countRegistration(isNew);
    const verb = isNew ? 'Registered' : 'Re-registered';
    this.#context.log.info(`${verb} agent ${id} at ${ip}:${port} (${hostname})`);
    const now = Date.now();
    const agent: Agent = {
      id,
      info: { ...info, id },
      link: undefined,
      registeredAt: now,
      reregisteredAt: isNew ? undefined : now,
      tasks: new Map(),
      pendingKills: new Set(),
      missedPings: 0,
      answeredPing: true,
    };
    this.#context.cluster.agents.set(id, agent);
    this.#connect(agent, link);
    this.#recovery.recover(agent, registration, earlier);
  }

  #countRegistration(isNew: boolean): void {
    const { counters } = this.#context;
    counters.count(isNew ? 'messages_register_slave' : 'messages_reregister_slave');
    counters.count(isNew ? 'slave_registrations' : 'slave_reregistrations');
    // Mesos agents send a separate message for this; the stand-in's include it in the registration.
    counters.count('messages_update_slave');
  }

  #connect(agent: Agent, link: AgentLink): void {
    const { cluster, settings } = this.#context;
    agent.link = link;
    agent.answeredPing = true;
    agent.missedPings = 0;
    link.send({
      type: 'REGISTERED',
      registered: {
        agent_id: agent.id,
        silence_ms: settings.agentPingTimeoutMs * settings.maxAgentPingTimeouts,
      },
    });
    for (const framework of cluster.frameworks.values()) {
      if (framework.stream) link.send({ type: 'FRAMEWORK', framework: { info: framework.info } });
    }
  }
}
