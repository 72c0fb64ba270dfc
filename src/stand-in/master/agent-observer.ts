import type { AgentRemoval } from './agent-removal.js';
import type { MasterContext } from './context.js';
import type { Registrar } from './registrar.js';

/** Counts unanswered pings of agents, and marks agents that miss too many unreachable. */
export class AgentObserver {
  readonly #context: MasterContext;
  readonly #registrar: Registrar;
  readonly #removal: AgentRemoval;

  constructor(context: MasterContext, registrar: Registrar, removal: AgentRemoval) {
    this.#context = context;
    this.#registrar = registrar;
    this.#removal = removal;
  }

  start(): void {
    const { cluster, settings } = this.#context;
    if (cluster.recoveredAgents.size > 0) {
      setTimeout(() => this.#removal.markAbsentUnreachable(), settings.agentReregisterTimeoutMs);
    }
    setInterval(() => this.#countMissedPings(), settings.agentPingTimeoutMs);
  }

  /** The agent answered a ping, or sent any other message. */
  answered(agentId: string): void {
    const agent = this.#context.cluster.agents.get(agentId);
    if (agent) agent.answeredPing = true;
  }

  #countMissedPings(): void {
    const { cluster, settings } = this.#context;
    for (const agent of [...cluster.agents.values()]) {
      agent.missedPings = agent.answeredPing ? 0 : agent.missedPings + 1;
      agent.answeredPing = false;
      if (agent.missedPings < settings.maxAgentPingTimeouts) continue;
      void this.#registrar.inTurn(async () => {
        // It may have reconnected while waiting for its turn.
        if (cluster.agents.get(agent.id) === agent && !agent.answeredPing) {
          await this.#removal.markUnreachable(agent, 'health check timed out');
        }
      });
    }
  }
}
