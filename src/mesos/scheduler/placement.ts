import { majority } from '../../cluster/spec.js';
import type { NodeNeed } from './tasks.js';
import type { Resource, ResourceRequest } from './types.js';

/** An offer, with the host of the spec that it is from. */
export interface HostOffer {
  readonly id: string;
  readonly agentId: string;
  /** Name of the host in the spec; undefined for an agent that is not in the spec. */
  readonly host: string | undefined;
  readonly hostname: string;
  readonly resources: readonly Resource[];
}

export interface PlacementInput {
  readonly needs: readonly NodeNeed[];
  /** How many nodes each host holds now, including those that only may run. */
  readonly occupied: Readonly<Record<string, number>>;
  readonly offers: readonly HostOffer[];
  /** Earlier, declined offers: they show what a host has. */
  readonly declined?: readonly HostOffer[];
  /** Names of the hosts with an agent, in the order of the spec. */
  readonly agentHosts: readonly string[];
  readonly nodeCount: number;
  /** Of one node. */
  readonly cpus: number;
  readonly memoryMebibytes: number;
  readonly allowMajorityOnOneHost: boolean;
}

export interface Placed {
  readonly node: string;
  readonly host: string;
  readonly agentId: string;
  readonly resources: readonly ResourceRequest[];
}

export interface Placement {
  /** One ACCEPT per agent: all its offers, and the nodes placed on it. */
  readonly accepts: readonly {
    readonly agentId: string;
    readonly offerIds: readonly string[];
    readonly nodes: readonly Placed[];
  }[];
  /** Offers without a placement. */
  readonly declines: readonly string[];
  /** For each node without a placement, a sentence that says what each host lacks. */
  readonly notes: readonly string[];
}

/**
 * How long a node waits for an offer of the host that has its data before it goes to another one. Counted
 * from when the scheduler receives offers: before that, or under another master, that host could make none.
 */
export const homeGraceMs = 15_000;

/**
 * Assigns nodes to hosts. A node returns to the host that has its data, or else goes to the host with the
 * fewest nodes. No host gets a majority of the nodes (and so of etcd), unless the spec allows it.
 */
export function place(input: PlacementInput): Placement {
  const agents = agentsOf(input.offers);
  const remembered = agentsOf(input.declined ?? []);
  const occupied = new Map(input.agentHosts.map((host) => [host, input.occupied[host] ?? 0]));
  const most = mostPerHost(input);
  const notes: string[] = [];

  for (const need of homesFirst(input.needs)) {
    const choice = chooseAgent(need, [...agents.values()], occupied, most, input);
    if (choice === undefined) {
      notes.push(noteFor(need, [...agents.values(), ...remembered.values()], occupied, most, input));
      continue;
    }
    choice.nodes.push({
      node: need.node,
      host: choice.host,
      agentId: choice.agentId,
      resources: [...choice.pool.take('cpus', input.cpus), ...choice.pool.take('mem', input.memoryMebibytes)],
    });
    occupied.set(choice.host, (occupied.get(choice.host) ?? 0) + 1);
  }

  const used = [...agents.values()].filter(({ nodes }) => nodes.length > 0);
  const usedOffers = new Set(used.flatMap(({ offerIds }) => offerIds));
  return {
    accepts: used.map(({ agentId, offerIds, nodes }) => ({ agentId, offerIds, nodes })),
    declines: input.offers.map(({ id }) => id).filter((id) => !usedOffers.has(id)),
    notes,
  };
}

interface AgentOffer {
  readonly agentId: string;
  readonly host: string;
  readonly offerIds: string[];
  readonly pool: ResourcePool;
  readonly nodes: Placed[];
}

/** The offers by agent, without those of agents outside the spec. */
function agentsOf(offers: readonly HostOffer[]): Map<string, AgentOffer> {
  const agents = new Map<string, AgentOffer>();
  for (const { id, agentId, host, resources } of offers) {
    if (host === undefined) continue;
    const agent = agents.get(agentId) ?? {
      agentId,
      host,
      offerIds: [],
      pool: new ResourcePool(),
      nodes: [],
    };
    agent.offerIds.push(id);
    agent.pool.add(resources);
    agents.set(agentId, agent);
  }
  return agents;
}

/** Nodes with data on a host choose first, so that no new node takes their place. */
function homesFirst(needs: readonly NodeNeed[]): NodeNeed[] {
  return needs.toSorted(
    (a, b) => Number(a.previousHost === undefined) - Number(b.previousHost === undefined),
  );
}

/** How many nodes a host may hold: less than a majority, if there are enough hosts. */
export function mostPerHost({
  nodeCount,
  agentHosts,
  allowMajorityOnOneHost,
}: Pick<PlacementInput, 'nodeCount' | 'agentHosts' | 'allowMajorityOnOneHost'>): number {
  if (allowMajorityOnOneHost) return nodeCount;
  const even = Math.ceil(nodeCount / Math.max(1, agentHosts.length));
  return Math.max(majority(nodeCount) - 1, even);
}

function chooseAgent(
  need: NodeNeed,
  agents: readonly AgentOffer[],
  occupied: ReadonlyMap<string, number>,
  most: number,
  input: PlacementInput,
): AgentOffer | undefined {
  const load = (agent: AgentOffer) => occupied.get(agent.host) ?? 0;
  const suitable = agents.filter((agent) => load(agent) < most && fits(agent.pool, input));
  const home = suitable.find((agent) => agent.host === need.previousHost);
  if (home !== undefined) return home;
  if (waitsForHome(need, input)) return undefined;
  return suitable.toSorted(
    (a, b) => load(a) - load(b) || input.agentHosts.indexOf(a.host) - input.agentHosts.indexOf(b.host),
  )[0];
}

function waitsForHome(need: NodeNeed, { agentHosts }: PlacementInput): boolean {
  const { previousHost, waitedMs, listenedMs = waitedMs } = need;
  return previousHost !== undefined && agentHosts.includes(previousHost) && listenedMs < homeGraceMs;
}

function fits(pool: ResourcePool, { cpus, memoryMebibytes }: PlacementInput): boolean {
  return pool.amount('cpus') >= cpus && pool.amount('mem') >= memoryMebibytes;
}

function noteFor(
  need: NodeNeed,
  agents: readonly AgentOffer[],
  occupied: ReadonlyMap<string, number>,
  most: number,
  input: PlacementInput,
): string {
  if (waitsForHome(need, input))
    return `${need.node} waits for an offer from ${need.previousHost}, which has its data`;
  const reasons = input.agentHosts.map((host) => {
    const load = occupied.get(host) ?? 0;
    if (load >= most) {
      return `${host} runs ${load} node${load === 1 ? '' : 's'}, and one more would be a majority`;
    }
    const agent = agents.find((each) => each.host === host);
    if (agent === undefined)
      return `${host} has no offers: its resources are in use or its agent is disconnected`;
    return `${host} ${lack(agent.pool, input)}`;
  });
  return `${need.node} cannot be placed: ${reasons.length === 0 ? 'no host has an agent' : reasons.join('; ')}`;
}

/** `lacks 0.5 cpus (0.5 of 1) and 156 MiB of memory (100 of 256)`, or that it has room. */
function lack(pool: ResourcePool, { cpus, memoryMebibytes }: PlacementInput): string {
  const missing = (name: string, unit: string, wanted: number) => {
    const has = pool.amount(name);
    const lacking = Math.round((wanted - has) * decimals) / decimals;
    return has >= wanted ? [] : [`${lacking} ${unit} (has ${has} of ${wanted})`];
  };
  const all = [...missing('cpus', 'cpus', cpus), ...missing('mem', 'MiB of memory', memoryMebibytes)];
  return all.length === 0
    ? 'has resources for one node, which another node gets'
    : `lacks ${all.join(' and ')}`;
}

/** Mesos keeps three decimals of a scalar. */
const decimals = 1_000;

/** Scalars of one agent by name and role. Those reserved for our role are taken before unreserved ones. */
class ResourcePool {
  readonly #left: { readonly name: string; readonly role: string; thousandths: number }[] = [];

  add(resources: readonly Resource[]): void {
    for (const { name, type, role = '*', scalar, revocable } of resources) {
      if (type !== 'SCALAR' || scalar === undefined || revocable !== undefined) continue;
      const thousandths = Math.floor(scalar.value * decimals + 1e-6);
      this.#left.push({ name, role, thousandths });
    }
    this.#left.sort((a, b) => Number(a.role === '*') - Number(b.role === '*'));
  }

  amount(name: string): number {
    const parts = this.#left.filter((part) => part.name === name);
    return parts.reduce((sum, part) => sum + part.thousandths, 0) / decimals;
  }

  take(name: string, amount: number): ResourceRequest[] {
    const taken: ResourceRequest[] = [];
    let missing = Math.round(amount * decimals);
    for (const part of this.#left) {
      if (part.name !== name || missing === 0) continue;
      const share = Math.min(part.thousandths, missing);
      if (share === 0) continue;
      part.thousandths -= share;
      missing -= share;
      taken.push({ name, type: 'SCALAR', scalar: { value: share / decimals }, role: part.role });
    }
    return taken;
  }
}
