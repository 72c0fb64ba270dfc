import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  afterPolls,
  afterOrder,
  passable,
  settled,
  type Accepted,
  type GateView,
  type Held,
} from '../../../src/proxy/program/decide.js';

const names = ['node0', 'node1', 'node2'];
const nodes = names.map((name, index) => ({ name, ways: [`http://127.0.2.${10 + index}:8888`] }));

function order(generation: number, term: number, node: string, reflexes = true): Held['order'] {
  return { generation, term, node, nodes, reflexes };
}
function held(accepted: [node: string, term: number, by: Accepted['by']], of = order(1, 5, 'node0')): Held {
  const [node, term, by] = accepted;
  return { order: of, accepted: { node, term, by } };
}
const open = (term: number, closing = false): GateView => ({ kind: 'open', term, closing });
const shut: GateView = { kind: 'shut', reason: 'it refuses' };
const views = (...of: (GateView | undefined)[]): Map<string, GateView> =>
  new Map(of.flatMap((view, index) => (view ? [[`node${index}`, view]] : [])));

describe('an order', () => {
  it('is accepted by a proxy without one, and rejected when its generation is lower', () => {
    const first = order(3, 5, 'node0');
    expect(afterOrder(undefined, first)).toEqual({ node: 'node0', term: 5, by: 'keeper' });
    expect(afterOrder(held(['node0', 5, 'keeper'], first), order(2, 9, 'node1'))).toBeUndefined();
  });

  it('of a higher generation always wins over a reflex', () => {
    const after = afterOrder(held(['node1', 7, 'reflex']), order(2, 6, 'node2'));
    expect(after).toEqual({ node: 'node2', term: 6, by: 'keeper' });
  });

  it('of the same generation and verdict, with other settings, keeps what a reflex has found', () => {
    const now = held(['node1', 7, 'reflex']);
    expect(afterOrder(now, order(1, 5, 'node0'))).toEqual(now.accepted);
    expect(afterOrder(now, order(1, 6, 'node2'))).toEqual(now.accepted);
    expect(afterOrder(now, order(1, 7, 'node2'))).toMatchObject({ node: 'node2', by: 'keeper' });
  });

  it('that disables reflexes, or removes the node, overrides their choice', () => {
    const now = held(['node1', 7, 'reflex']);
    expect(afterOrder(now, order(1, 5, 'node0', false))).toMatchObject({ node: 'node0', by: 'keeper' });
    const without = { ...order(1, 5, 'node0'), nodes: nodes.slice(0, 1) };
    expect(afterOrder(now, without)).toMatchObject({ node: 'node0', by: 'keeper' });
  });
});

describe('polled gates', () => {
  const now = held(['node0', 5, 'keeper']);

  it('lead to the open gate of the highest term', () => {
    expect(afterPolls(now, views(shut, open(6), open(7)))).toEqual({ node: 'node2', term: 7, by: 'reflex' });
  });

  it('never lead to a lower or equal term, or to a shut gate', () => {
    expect(afterPolls(now, views(shut, open(4), open(5)))).toEqual(now.accepted);
    expect(afterPolls(now, views(shut, shut, undefined))).toEqual(now.accepted);
  });

  it('update the term of the node that the keeper chose', () => {
    expect(afterPolls(now, views(open(8)))).toEqual({ node: 'node0', term: 8, by: 'keeper' });
  });

  it('change nothing without reflexes', () => {
    const now = held(['node0', 5, 'keeper'], order(1, 5, 'node0', false));
    expect(afterPolls(now, views(shut, open(9)))).toEqual(now.accepted);
  });
});

describe('the accepted gate', () => {
  it('is passed while open; when it is closing, the search starts', () => {
    const now = held(['node0', 5, 'keeper']);
    expect([passable(now, open(5)), settled(now, open(5))]).toEqual([true, true]);
    expect([passable(now, open(5, true)), settled(now, open(5, true))]).toEqual([true, false]);
    for (const view of [shut, { kind: 'silent', reason: '' }, { kind: 'unknown' }, open(4)] as const)
      expect([passable(now, view), settled(now, view)]).toEqual([false, false]);
  });

  it('may be open in any term without reflexes', () => {
    expect(passable(held(['node0', 5, 'keeper'], order(1, 5, 'node0', false)), open(4))).toBe(true);
  });
});

/**
 * A cluster, some proxies and a keeper, with arbitrary timing: gates open late and shut late, polls miss
 * gates, orders arrive late, twice and out of order, proxies restart with an earlier stored state.
 */
describe('for every sequence of events', () => {
  const proxies = 2;
  interface Gate {
    open: boolean;
    closing: boolean;
    term: number;
  }
  interface World {
    /** By raft term. */
    readonly leaders: Map<number, string>;
    term: number;
    readonly gates: Map<string, Gate>;
    readonly orders: Held['order'][];
    readonly held: (Held | undefined)[];
    /** States stored by each proxy; the last one may be missing after a power loss. */
    readonly stored: Held[][];
  }
  type Step = (world: World) => void;

  const name = fc.constantFrom(...names);
  const proxy = fc.nat({ max: proxies - 1 });
  const gateOf = (world: World, node: string): Gate =>
    world.gates.get(node) ?? { open: false, closing: false, term: 0 };
  function accept(world: World, index: number, next: Held): void {
    world.held[index] = next;
    world.stored[index]?.push(next);
  }
  function poll(world: World, index: number, seen: readonly string[]): void {
    const now = world.held[index];
    if (!now) return;
    const found = new Map(
      seen.map((node): [string, GateView] => {
        const gate = gateOf(world, node);
        return [node, gate.open ? { kind: 'open', term: gate.term, closing: gate.closing } : shut];
      }),
    );
    accept(world, index, { ...now, accepted: afterPolls(now, found) });
  }
  function deliver(world: World, index: number, next: Held['order'] | undefined): void {
    const now = world.held[index];
    const accepted = next && afterOrder(now, next);
    if (next && accepted) accept(world, index, { order: next, accepted });
  }
  function elect(world: World, node: string): void {
    world.term += 1;
    world.leaders.set(world.term, node);
    for (const gate of world.gates.values()) gate.closing = true;
  }
  function openGate(world: World, node: string): void {
    if (world.leaders.get(world.term) !== node) return;
    world.gates.set(node, { open: true, closing: false, term: world.term });
  }

  const step: fc.Arbitrary<Step> = fc.oneof(
    name.map(
      (node): Step =>
        (world) =>
          elect(world, node),
    ),
    name.map(
      (node): Step =>
        (world) =>
          openGate(world, node),
    ),
    // Paused, partitioned, or notified of its lost leadership.
    name.map(
      (node): Step =>
        (world) =>
          void (gateOf(world, node).open = false),
    ),
    fc.tuple(proxy, fc.subarray(names)).map(
      ([index, seen]): Step =>
        (world) =>
          poll(world, index, seen),
    ),
    // A verdict is some past leadership, not always the newest.
    fc.nat().map((pick): Step => (world) => {
      const last = world.orders.at(-1);
      const from = last?.term ?? 1;
      const term = from + (pick % (world.term - from + 1));
      const node = world.leaders.get(term) ?? '';
      world.orders.push(order((last?.generation ?? 0) + 1, term, node));
    }),
    fc.tuple(proxy, fc.nat()).map(
      ([index, pick]): Step =>
        (world) =>
          deliver(world, index, world.orders[pick % world.orders.length]),
    ),
    fc.tuple(proxy, fc.boolean()).map(([index, power]): Step => (world) => {
      const all = world.stored[index] ?? [];
      if (power && all.length > 1) all.pop();
      world.held[index] = all.at(-1);
    }),
  );

  function begin(): World {
    const leaders = new Map([[1, 'node0']]);
    const first = order(1, 1, 'node0');
    const start = (): Held => ({ order: first, accepted: { node: 'node0', term: 1, by: 'keeper' } });
    return {
      leaders,
      term: 1,
      gates: new Map(names.map((node) => [node, { open: false, closing: false, term: 0 }])),
      orders: [first],
      held: Array.from({ length: proxies }, start),
      stored: Array.from({ length: proxies }, () => [start()]),
    };
  }

  it('a proxy passes at most one gate, in the term of its leader, and reaches it in a calm cluster', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), name, (steps, last) => {
        const world = begin();
        for (const each of steps) {
          const before = [...world.held];
          const writtenBefore = world.stored.map((all) => all.length);
          each(world);
          world.held.forEach((now, index) => {
            if (!now) throw new Error('a proxy lost its route');
            const { accepted } = now;
            // The only leader of its term: proxies that accepted the same term agree.
            expect(world.leaders.get(accepted.term)).toBe(accepted.node);
            const passed = names.filter((node) => {
              const gate = gateOf(world, node);
              const view: GateView = gate.open
                ? { kind: 'open', term: gate.term, closing: gate.closing }
                : shut;
              return node === accepted.node && passable(now, view);
            });
            expect(passed.length).toBeLessThanOrEqual(1);
            for (const node of passed) expect(gateOf(world, node).term).toBeGreaterThanOrEqual(accepted.term);
            const was = before[index];
            const written = (world.stored[index]?.length ?? 0) > (writtenBefore[index] ?? 0);
            if (!was || !written) return;
            // Steps of one process: neither falls, except for an order of a later generation.
            expect(now.order.generation).toBeGreaterThanOrEqual(was.order.generation);
            if (now.order.generation === was.order.generation)
              expect(accepted.term).toBeGreaterThanOrEqual(was.accepted.term);
            if (accepted.term === was.accepted.term && now.order.generation === was.order.generation)
              expect(accepted.node).toBe(was.accepted.node);
          });
        }
        // Calm: one leader, only its gate is open, and everything is polled and delivered once.
        elect(world, last);
        for (const node of names) gateOf(world, node).open = false;
        openGate(world, last);
        world.held.forEach((_, index) => {
          deliver(world, index, world.orders.at(-1));
          poll(world, index, names);
        });
        for (const now of world.held) {
          expect(now?.accepted).toMatchObject({ node: last, term: world.term });
          expect(now && settled(now, { kind: 'open', term: world.term, closing: false })).toBe(true);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
