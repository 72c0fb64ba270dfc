import type { Filters, Offer, Unavailability } from '../messages.js';
import { add, toApi, type Resources } from '../resources.js';
import { allocate, type Claimant } from './allocator.js';
import {
  freeOf,
  offered,
  totalOf,
  usedBy,
  type Agent,
  type Cluster,
  type Framework,
  type LiveOffer,
} from './cluster.js';
import type { MasterContext } from './context.js';
import { unavailabilityOf } from './unavailability.js';

const defaultRefuseSeconds = 5;

/** Offers free resources to frameworks and rescinds offers. */
export class Offers {
  readonly #context: MasterContext;
  #next = 0;
  #freed = false;

  constructor(context: MasterContext) {
    this.#context = context;
  }

  start(): void {
    setInterval(() => this.#allocate(), this.#context.settings.allocationIntervalMs);
  }

  /** Allocates after the current event has been handled. */
  allocateSoon(): void {
    setImmediate(() => this.#allocate());
  }

  /** Notes that a task ended; `allocateIfFreed` offers its resources. */
  noteFreed(): void {
    this.#freed = true;
  }

  allocateIfFreed(): void {
    if (this.#freed) this.allocateSoon();
  }

  /** Removes an offer and filters its resources, as DECLINE requests. Ignores another framework's offer. */
  decline(framework: Framework, offerId: string, filters: Filters | undefined): void {
    const offer = this.#context.cluster.offers.get(offerId);
    if (offer?.frameworkId !== framework.id) return;
    this.remove(offer);
    this.filter(framework, offer.agentId, offer.resources, filters);
  }

  /** Withholds these resources from the framework for `refuse_seconds`. */
  filter(framework: Framework, agentId: string, resources: Resources, filters: Filters | undefined): void {
    const ms = (filters?.refuse_seconds ?? defaultRefuseSeconds) * 1000;
    const now = Date.now();
    framework.filters = framework.filters.filter(({ until }) => until > now);
    if (ms > 0) framework.filters.push({ agentId, resources, until: now + ms });
  }

  remove(offer: LiveOffer): void {
    clearTimeout(offer.expiry);
    this.#context.cluster.offers.delete(offer.id);
  }

  removeAllTo(framework: Framework): void {
    for (const offer of this.#context.cluster.offersTo(framework.id)) this.remove(offer);
  }

  rescindAllOf(agent: Agent): void {
    for (const offer of this.#context.cluster.offersOf(agent.id)) this.#rescind(offer);
  }

  #rescind(offer: LiveOffer): void {
    this.remove(offer);
    this.#context.cluster.frameworks
      .get(offer.frameworkId)
      ?.stream?.send({ type: 'RESCIND', rescind: { offer_id: { value: offer.id } } });
  }

  #allocate(): void {
    this.#freed = false;
    const { cluster, log } = this.#context;
    const agents = [...cluster.agents.values()].filter((agent) => agent.link !== undefined);
    const frameworks = [...cluster.frameworks.values()].filter(
      (framework) => framework.stream && !framework.suppressed,
    );
    if (agents.length === 0 || frameworks.length === 0) return;
    const allocations = allocate(
      agents.map((agent) => ({ id: agent.id, free: freeOf(agent, cluster.offersOf(agent.id)) })),
      frameworks.map((framework) => claimant(framework, cluster)),
      totalOf(agents),
      Date.now(),
    );
    for (const framework of frameworks) {
      const made = allocations
        .filter(({ frameworkId }) => frameworkId === framework.id)
        .flatMap(({ agentId, resources }) => this.#make(framework, agentId, resources));
      if (made.length === 0) continue;
      log.info(`Sending ${made.length} offers to framework ${framework.id} (${framework.info.name})`);
      framework.stream?.send({ type: 'OFFERS', offers: { offers: made } });
    }
  }

  #make(framework: Framework, agentId: string, resources: Resources): Offer[] {
    const { cluster, info, settings } = this.#context;
    const agent = cluster.agents.get(agentId);
    if (!agent) return [];
    const { offerTimeoutMs } = settings;
    const offer: LiveOffer = {
      id: `${info.id}-O${this.#next++}`,
      frameworkId: framework.id,
      agentId,
      resources,
      expiry:
        offerTimeoutMs === undefined ? undefined : setTimeout(() => this.#rescind(offer), offerTimeoutMs),
    };
    cluster.offers.set(offer.id, offer);
    return [toMessage(offer, agent, unavailabilityOf(cluster.windows, agent))];
  }
}

function claimant(framework: Framework, cluster: Cluster): Claimant {
  return {
    id: framework.id,
    held: add(usedBy(framework.tasks.values()), offered(cluster.offersTo(framework.id))),
    filters: framework.filters,
  };
}

function toMessage(offer: LiveOffer, agent: Agent, unavailability: Unavailability | undefined): Offer {
  const { hostname, ip, port, attributes } = agent.info;
  return {
    id: { value: offer.id },
    framework_id: { value: offer.frameworkId },
    agent_id: { value: agent.id },
    hostname,
    resources: toApi(offer.resources),
    attributes,
    url: { scheme: 'http', address: { hostname, ip, port }, path: '/slave(1)' },
    ...(unavailability !== undefined && { unavailability }),
  };
}
