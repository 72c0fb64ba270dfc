import { add, contains, isOfferable, type Resources } from '../resources.js';

export interface FreeAgent {
  readonly id: string;
  /** Neither in use nor offered. */
  readonly free: Resources;
}

export interface Claimant {
  readonly id: string;
  /** Used by it or offered to it. */
  readonly held: Resources;
  /** Resources that it declined recently, by agent. */
  readonly filters: readonly OfferFilter[];
}

export interface OfferFilter {
  readonly agentId: string;
  readonly resources: Resources;
  /** Milliseconds since 1970. */
  readonly until: number;
}

export interface Allocation {
  readonly frameworkId: string;
  readonly agentId: string;
  readonly resources: Resources;
}

/**
 * Offers an agent's free resources to one framework: the one with the smallest dominant share (Ghodsi et al.,
 * "Dominant Resource Fairness", NSDI 2011) that has not recently declined them.
 */
export function allocate(
  agents: readonly FreeAgent[],
  claimants: readonly Claimant[],
  total: Resources,
  now: number,
): Allocation[] {
  const held = new Map(claimants.map(({ id, held: resources }) => [id, resources]));
  const shareOf = ({ id }: Claimant) => dominantShare(held.get(id), total);
  return agents.flatMap((agent) => {
    if (!isOfferable(agent.free)) return [];
    const [first] = claimants
      .filter(({ filters }) => !filters.some((filter) => refuses(filter, agent, now)))
      .sort((left, right) => shareOf(left) - shareOf(right) || (left.id < right.id ? -1 : 1));
    if (first === undefined) return [];
    held.set(first.id, add(held.get(first.id) ?? first.held, agent.free));
    return [{ frameworkId: first.id, agentId: agent.id, resources: agent.free }];
  });
}

/** A filter applies to the same resources and subsets of them; anything more is offered at once. */
function refuses(filter: OfferFilter, agent: FreeAgent, now: number): boolean {
  return filter.agentId === agent.id && filter.until > now && contains(filter.resources, agent.free);
}

function dominantShare(held: Resources | undefined, total: Resources): number {
  return Math.max(
    0,
    ...Object.entries(held?.scalars ?? {}).map(([name, amount]) => {
      const all = total.scalars[name] ?? 0;
      return all > 0 ? amount / all : 0;
    }),
  );
}
