/**
 * Where a proxy's requests go: what it has accepted, which gates it may pass, and when it turns to another one.
 * No clock and no I/O.
 *
 * Why two gates are never acceptable at once: a raft term has one leader at most, a gate that opens by a reflex
 * is that leader's, and a proxy passes one node's gate only, in no term below the one that it has accepted.
 */
import type { RouteOrder, Serving } from '../api.js';

/** A node and the raft term in which it was found to lead: by an order, or by the gate that it had open. */
export type Accepted = Pick<Serving, 'node' | 'term' | 'by'>;

/** What a question to a gate brought. */
export type GateView =
  | { readonly kind: 'unknown' }
  /** It lives, and lets nobody in. */
  | { readonly kind: 'shut'; readonly reason: string }
  /** No answer in time, by no way. */
  | { readonly kind: 'silent'; readonly reason: string }
  | { readonly kind: 'open'; readonly term: number; readonly closing: boolean };

export type Views = ReadonlyMap<string, GateView>;

type Words = Pick<RouteOrder, 'generation' | 'node' | 'term' | 'reflexes' | 'nodes'>;

/** What a proxy holds: the last order that it took, and what is in force now. */
export interface Held {
  readonly order: Words;
  readonly accepted: Accepted;
}

/** Undefined: the order is of an earlier generation than the one that is held, and is refused. */
export function afterOrder(held: Held | undefined, order: Words): Accepted | undefined {
  const word: Accepted = { node: order.node, term: order.term, by: 'keeper' };
  if (held === undefined || order.generation > held.order.generation) return word;
  if (order.generation < held.order.generation) return undefined;
  const { accepted } = held;
  // Without reflexes nobody but the keeper may have chosen.
  if (!order.reflexes || order.nodes.every(({ name }) => name !== accepted.node)) return word;
  const sameWord = order.node === held.order.node && order.term === held.order.term;
  // The same word again, with other settings: what a reflex has found since is newer.
  return sameWord || order.term < accepted.term ? accepted : word;
}

/**
 * Whether requests may pass the gate of the accepted node. One that is open in an earlier term has not heard
 * yet of what is known here, and will shut.
 */
export function passable({ order, accepted }: Held, view: GateView): boolean {
  return view.kind === 'open' && (!order.reflexes || view.term >= accepted.term);
}

/** Whether there is no reason to look for another gate. */
export function settled(held: Held, view: GateView): boolean {
  return view.kind === 'open' && passable(held, view) && !view.closing;
}

/**
 * What is accepted after looking at the gates: the one of the highest term, where that term is higher than the
 * accepted one. Within one term only an order leads to another node.
 */
export function afterLook({ order, accepted }: Held, views: Views): Accepted {
  if (!order.reflexes) return accepted;
  let best = accepted;
  for (const { name } of order.nodes) {
    const view = views.get(name);
    if (view?.kind !== 'open' || view.term <= best.term) continue;
    best = { node: name, term: view.term, by: name === accepted.node ? accepted.by : 'reflex' };
  }
  return best;
}
