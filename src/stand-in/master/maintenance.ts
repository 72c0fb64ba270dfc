/**
 * The maintenance of machines: an operator's schedule, offers that name it, and inverse offers, which ask frameworks to
 * leave. As in Mesos, except that machines are never taken down.
 */
import { isTerminal, type Filters, type MaintenanceWindow, type Unavailability } from '../messages.js';
import type { Agent, Framework } from './cluster.js';
import type { MasterContext } from './context.js';
import type { Offers } from './offers.js';
import type { Registrar } from './registrar.js';
import { isMachine, unavailabilityOf } from './unavailability.js';

const defaultRefuseSeconds = 5;

interface Inverse {
  readonly id: string;
  readonly frameworkId: string;
  readonly agentId: string;
}

interface Answer {
  readonly frameworkId: string;
  readonly agentId: string;
  readonly status: 'ACCEPT' | 'DECLINE';
  /** Milliseconds since 1970. */
  readonly at: number;
  /** No inverse offer before that time. */
  readonly until: number;
}

export class Maintenance {
  readonly #context: MasterContext;
  readonly #registrar: Registrar;
  readonly #offers: Offers;
  readonly #outstanding = new Map<string, Inverse>();
  readonly #answers = new Map<string, Answer>();
  #next = 0;

  constructor(context: MasterContext, registrar: Registrar, offers: Offers) {
    this.#context = context;
    this.#registrar = registrar;
    this.#offers = offers;
  }

  start(): void {
    setInterval(() => this.#ask(), this.#context.settings.allocationIntervalMs);
  }

  /** Why a schedule is refused; undefined for a valid one. */
  static problemOf(windows: readonly MaintenanceWindow[]): string | undefined {
    const seen = new Set<string>();
    for (const { machine_ids: machines, unavailability } of windows) {
      if (machines.length === 0) return 'List of machines in the maintenance window is empty';
      if (unavailability.duration !== undefined && unavailability.duration.nanoseconds < 0) {
        return 'Unavailability duration is negative';
      }
      for (const { hostname, ip } of machines) {
        if (hostname === undefined && ip === undefined)
          return "Both 'hostname' and 'ip' for a machine are empty";
        const machine = `${hostname?.toLowerCase() ?? ''} ${ip ?? ''}`;
        if (seen.has(machine)) return `Machine '${machine.trim()}' appears more than once in the schedule`;
        seen.add(machine);
      }
    }
    return undefined;
  }

  /** Replaces the schedule once the registry has stored it. Offers of the machines are made anew. */
  async schedule(windows: readonly MaintenanceWindow[]): Promise<void> {
    const { cluster, log } = this.#context;
    await this.#registrar.inTurn(async () => {
      const before = cluster.windows;
      cluster.windows = windows;
      try {
        await this.#registrar.store();
      } catch (error) {
        cluster.windows = before;
        throw error;
      }
    });
    log.info(`Updated the maintenance schedule: ${windows.length} windows`);
    for (const inverse of [...this.#outstanding.values()]) this.#rescind(inverse);
    this.#answers.clear();
    for (const agent of cluster.agents.values()) this.#offers.rescindAllOf(agent);
    this.#offers.allocateSoon();
    this.#ask();
  }

  /** As ACCEPT_INVERSE_OFFERS and DECLINE_INVERSE_OFFERS request. Ignores another framework's. */
  answer(
    framework: Framework,
    offerIds: readonly string[],
    status: Answer['status'],
    filters: Filters | undefined,
  ): void {
    for (const id of offerIds) {
      const inverse = this.#outstanding.get(id);
      if (inverse?.frameworkId !== framework.id) continue;
      this.#outstanding.delete(id);
      const at = Date.now();
      const until = at + (filters?.refuse_seconds ?? defaultRefuseSeconds) * 1_000;
      const { frameworkId, agentId } = inverse;
      this.#answers.set(keyOf(inverse), { frameworkId, agentId, status, at, until });
    }
  }

  /** `/maintenance/status`: the machines of the schedule, and what frameworks have answered. */
  statusView(): unknown {
    const { cluster } = this.#context;
    const machines = cluster.windows.flatMap(({ machine_ids: ids }) => ids);
    if (machines.length === 0) return {};
    return {
      draining_machines: machines.map((id) => ({
        id,
        statuses: [...this.#answers.values()].flatMap(({ frameworkId, agentId, status, at }) => {
          const agent = cluster.agents.get(agentId);
          if (agent === undefined || !isMachine(agent, id)) return [];
          return [{ framework_id: { value: frameworkId }, status, timestamp: { nanoseconds: at * 1e6 } }];
        }),
      })),
    };
  }

  scheduleView(): unknown {
    const { windows } = this.#context.cluster;
    return windows.length === 0 ? {} : { windows };
  }

  /** Asks each framework with tasks on a machine of the schedule, unless it was asked or has answered lately. */
  #ask(): void {
    const { cluster } = this.#context;
    if (cluster.windows.length === 0) return;
    for (const agent of cluster.agents.values()) {
      const unavailability = unavailabilityOf(cluster.windows, agent);
      if (unavailability === undefined || agent.link === undefined) continue;
      for (const framework of cluster.frameworks.values()) this.#askOne(framework, agent, unavailability);
    }
  }

  #askOne(framework: Framework, agent: Agent, unavailability: Unavailability): void {
    const { info, log } = this.#context;
    const holds = [...agent.tasks.values()].some(
      ({ frameworkId, state }) => frameworkId === framework.id && !isTerminal(state),
    );
    const key = keyOf({ frameworkId: framework.id, agentId: agent.id });
    const isAsked = [...this.#outstanding.values()].some((inverse) => keyOf(inverse) === key);
    const until = this.#answers.get(key)?.until ?? 0;
    if (framework.stream === undefined || !holds || isAsked || Date.now() < until) return;
    const id = `${info.id}-IO${this.#next++}`;
    this.#outstanding.set(id, { id, frameworkId: framework.id, agentId: agent.id });
    log.info(`Sending an inverse offer of agent ${agent.id} to framework ${framework.id}`);
    const { hostname, ip, port } = agent.info;
    const inverse = {
      id: { value: id },
      url: { scheme: 'http', address: { hostname, ip, port }, path: '/slave(1)' },
      framework_id: { value: framework.id },
      agent_id: { value: agent.id },
      unavailability,
    };
    framework.stream.send({ type: 'INVERSE_OFFERS', inverse_offers: { inverse_offers: [inverse] } });
  }

  #rescind({ id, frameworkId }: Inverse): void {
    this.#outstanding.delete(id);
    this.#context.cluster.frameworks.get(frameworkId)?.stream?.send({
      type: 'RESCIND_INVERSE_OFFER',
      rescind_inverse_offer: { inverse_offer_id: { value: id } },
    });
  }
}

function keyOf({ frameworkId, agentId }: Pick<Inverse, 'frameworkId' | 'agentId'>): string {
  return `${frameworkId} ${agentId}`;
}
