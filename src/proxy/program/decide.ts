/**
 * Routing decisions of a proxy: which node it has accepted, which gates it may pass, and when it switches. No
 * clock and no I/O.
 *
 * Why two gates are never acceptable at once: a raft term has at most one leader, a gate that opens by a
 * reflex is that leader's, and a proxy passes only one node's gate, in no term below the accepted one.
 */
import type { RouteOrder, Serving } from '../api.js';

/** A node and the raft term in which it led, according to an order or to its open gate. */
export type Accepted = Pick<Serving, 'node' | 'term' | 'by'>;

/** Result of a gate poll. */
export type GateView =
  | { readonly kind: 'unknown' }
  /** The node is alive and its gate is shut. */
  | { readonly kind: 'shut'; readonly reason: string }
  /** No response in time over any way. */
  | { readonly kind: 'silent'; readonly reason: string }
  | { readonly kind: 'open'; readonly term: number; readonly closing: boolean };

export type Views = ReadonlyMap<string, GateView>;

type Order = Pick<RouteOrder, 'generation' | 'node' | 'term' | 'reflexes' | 'nodes'>;

/** A proxy's state: the last accepted order, and the node in force. */
export interface Held {
  readonly order: Order;
  readonly accepted: Accepted;
}

/** Undefined: the order is older than the one in force, and is rejected. */
export function afterOrder(held: Held | undefined, order: Order): Accepted | undefined {
  const ordered: Accepted = { node: order.node, term: order.term, by: 'keeper' };
  if (held === undefined || order.generation > held.order.generation) return ordered;
  if (order.generation < held.order.generation) return undefined;
  const { accepted } = held;
  // Without reflexes only the keeper chooses.
  if (!order.reflexes || order.nodes.every(({ name }) => name !== accepted.node)) return ordered;
  const sameOrder = order.node === held.order.node && order.term === held.order.term;
  // The same order with other settings: what a reflex has found since is newer.
  return sameOrder || order.term < accepted.term ? accepted : ordered;
}

/**
 * Whether requests may pass the gate of the accepted node. A gate open in an earlier term does not know of
 * the newer one yet, and will shut.
 */
export function passable({ order, accepted }: Held, view: GateView): boolean {
  return view.kind === 'open' && (!order.reflexes || view.term >= accepted.term);
}

/** Whether there is no need to search for another gate. */
export function settled(held: Held, view: GateView): boolean {
  return view.kind === 'open' && passable(held, view) && !view.closing;
}

/**
 * The node accepted after polling the gates: the one with the highest term, if above the accepted term.
 * Within one term only an order changes the node.
 */
export function afterPolls({ order, accepted }: Held, views: Views): Accepted {
  if (!order.reflexes) return accepted;
  let best = accepted;
  for (const { name } of order.nodes) {
    const view = views.get(name);
    if (view?.kind !== 'open' || view.term <= best.term) continue;
    best = { node: name, term: view.term, by: name === accepted.node ? accepted.by : 'reflex' };
  }
  return best;
}
