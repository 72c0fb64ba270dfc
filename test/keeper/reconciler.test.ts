import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PerijoveError } from '../../src/errors/error.js';
import type { KeeperAccess } from '../../src/keeper/access.js';
import { reconcile } from '../../src/keeper/reconciler.js';
import { gateUrl, holdsOrder, wantedFor } from '../../src/keeper/wanted.js';
import type { JupyterStatus, NodeStatus } from '../../src/node/api.js';
import type { NodeClient } from '../../src/node/client.js';
import { hostsDigest } from '../../src/node/hosts.js';
import type { Route, RouteOrder } from '../../src/proxy/api.js';
import type { ProxyClient } from '../../src/proxy/client.js';
import { makeSpec } from '../support/spec.js';

const spec = makeSpec({ nodes: { count: 3 } });
const nodes = ['node0', 'node1', 'node2'];
const hosts = ['h1', 'h2', 'h3'];
const hasty = { jupyterMs: 200, leaderSilentMs: 5, againMs: 1 };

const since = '2026-01-01T00:00:00.000Z';
const routeOf = (order: RouteOrder): Route => {
  const { node, term } = order;
  return { ...order, since, serving: { node, term, target: gateUrl(spec, node), by: 'keeper', since } };
};

/**
 * The rules of the two APIs, in memory: their state and which orders they reject. `keeper.workflow.test.ts`
 * drives the real programs; this covers sequences of events that no real cluster can run through by the
 * hundred.
 */
class Model implements KeeperAccess {
  constructor(readonly standby: 'warm' | 'cold' = 'warm') {}

  readonly nodes = new Map(
    nodes.map((name) => [name, { generation: 0, serve: false, jupyter: 0, hosts: 0, digest: '' }]),
  );
  readonly proxies = new Map<string, Route | null>(hosts.map((host) => [host, null]));
  readonly gone = new Set<string>();
  /** Their next order is carried out, and its reply is lost. */
  readonly deaf = new Set<string>();
  readonly orders: string[] = [];
  leader = 'node0';
  term = 1;

  #ask<T>(name: string, effect: () => T): T {
    const unreachable = new PerijoveError('NODE_UNREACHABLE', `${name} does not respond`);
    if (this.gone.has(name)) throw unreachable;
    const answer = effect();
    if (this.deaf.delete(name)) throw unreachable;
    return answer;
  }

  async node<T>(name: string, ask: (client: NodeClient) => Promise<T>): Promise<T> {
    const node = this.nodes.get(name);
    if (!node) throw new Error(name);
    const accept = (generation: number) => {
      if (generation < node.generation)
        throw new PerijoveError('STALE_GENERATION', `${name} has ${node.generation}`);
      node.generation = generation;
    };
    const jupyter = (): JupyterStatus => ({
      state: this.standby === 'warm' || node.serve ? 'ready' : 'stopped',
      generation: node.jupyter,
      serve: node.serve,
      gate: { open: node.serve, closing: false, term: this.term },
    });
    const hostsFile = () => ({ generation: node.hosts, digest: node.digest });
    return ask({
      status: async () => {
        if (this.gone.has(name)) throw new PerijoveError('NODE_UNREACHABLE', name);
        const status: NodeStatus = {
          node: name,
          generation: node.generation,
          etcd: { state: 'running' },
          jupyter: jupyter(),
          hosts: hostsFile(),
        };
        return status;
      },
      retire: async () => ({}),
      kernels: async () => ({ kernels: [] }),
      stopKernel: async () => ({ kernels: [] }),
      orderJupyter: async ({ generation, serve }) =>
        this.#ask(name, () => {
          accept(generation);
          this.orders.push(`${name} ${serve ? 'up' : 'down'}`);
          node.serve = serve;
          node.jupyter = generation;
          return jupyter();
        }),
      orderHosts: async ({ generation, entries }) =>
        this.#ask(name, () => {
          accept(generation);
          this.orders.push(`${name} hosts`);
          node.hosts = generation;
          node.digest = hostsDigest(entries);
          return hostsFile();
        }),
    });
  }

  async proxy<T>(host: string, ask: (client: ProxyClient) => Promise<T>): Promise<T> {
    const held = this.proxies.get(host) ?? null;
    const client: Pick<ProxyClient, 'route' | 'setRoute'> = {
      route: async () => this.#ask(host, () => held),
      setRoute: async (order) =>
        this.#ask(host, () => {
          if (held && order.generation < held.generation)
            return { kind: 'stale', generation: held.generation };
          this.orders.push(`${host} route`);
          const changed = !held || !holdsOrder(held, order);
          const route = routeOf(order);
          this.proxies.set(host, route);
          return { kind: 'set', changed, route };
        }),
    };
    return ask(client as ProxyClient);
  }

  async member(name: string) {
    return {
      node: name,
      ok: true,
      memberId: name,
      leader: this.leader,
      term: this.term,
      linearizable: true,
    } as const;
  }

  async etcd(): Promise<never> {
    throw new Error('a reconcile moves no leadership');
  }

  async placement() {
    return {};
  }

  close(): void {}

  running(): string[] {
    return nodes.filter((name) => this.nodes.get(name)?.serve);
  }
}

const input = (generation: number, leader: string, term = generation) => ({
  spec,
  generation,
  verdict: { leader, term, live: [leader, ...nodes.filter((name) => name !== leader)] },
});

describe('the order of steps in a move', () => {
  test('Jupyter up, then routes, then hosts files, then Jupyter down elsewhere', async () => {
    const model = new Model();
    model.term = 9;
    await reconcile(model, input(1, 'node0', 9), undefined, hasty);
    model.orders.length = 0;
    model.leader = 'node2';
    const result = await reconcile(model, input(2, 'node2', 9), undefined, hasty);
    const groups = [
      ['node2 up'],
      ['h1 route', 'h2 route', 'h3 route'],
      ['node0 hosts', 'node1 hosts', 'node2 hosts'],
      ['node0 down'],
    ];
    expect(model.orders).toEqual(groups.flat());
    expect(result).toMatchObject({ jupyter: 'node2', drifts: [], unreachable: [], superseded: false });
    expect(result.changes.map(({ what }) => what)).toEqual([
      'route of h1 set to node2',
      'route of h2 set to node2',
      'route of h3 set to node2',
      'hosts file of node0 written',
      'gate of node0 shut',
      'hosts file of node1 written',
      'gate of node2 opened',
      'hosts file of node2 written',
    ]);
  });

  test('a cold Jupyter is started first, and stopped last', async () => {
    const model = new Model('cold');
    const cold = { ...spec, jupyter: { ...spec.jupyter, standby: 'cold' } } as const;
    await reconcile(model, { ...input(1, 'node0', 9), spec: cold }, undefined, hasty);
    model.leader = 'node2';
    model.term = 10;
    const result = await reconcile(model, { ...input(2, 'node2', 10), spec: cold }, undefined, hasty);
    const changes = result.changes.map(({ what }) => what);
    expect(changes).toContain('Jupyter started on node2');
    expect(changes).toContain('Jupyter stopped on node0');
    expect(model.orders.at(-1)).toBe('node0 down');
  });

  test('a repetition changes nothing', async () => {
    const model = new Model();
    await reconcile(model, input(1, 'node0'), undefined, hasty);
    const again = await reconcile(model, input(1, 'node0'), undefined, hasty);
    expect(again).toMatchObject({ changes: [], jupyter: 'node0', drifts: [] });
  });

  test('unreachable hosts and nodes are reported and do not delay the rest', async () => {
    const model = new Model();
    model.gone.add('h2').add('node1');
    const result = await reconcile(model, input(1, 'node0'), undefined, hasty);
    expect(result.unreachable).toEqual(['h2', 'node1']);
    expect(result.routes).toEqual({
      h1: { target: 'http://127.0.2.10:8888', generation: 1 },
      h3: { target: 'http://127.0.2.10:8888', generation: 1 },
    });
    expect(result.jupyter).toBe('node0');
  });

  test('while the leader’s node does not respond, routes stay and the old Jupyter stays', async () => {
    const model = new Model();
    await reconcile(model, input(1, 'node0'), undefined, hasty);
    model.gone.add('node1');
    model.leader = 'node1';
    model.term = 2;
    const result = await reconcile(model, input(2, 'node1'), undefined, hasty);
    expect(result).not.toHaveProperty('jupyter');
    expect(result.drifts).toContainEqual(expect.objectContaining({ kind: 'node-silent', subject: 'node1' }));
    expect(model.running()).toEqual(['node0']);
    expect(model.proxies.get('h1')).toMatchObject({ generation: 1, node: 'node0' });
  });

  test('does not wait for a leader that was superseded', async () => {
    const model = new Model();
    model.gone.add('node1');
    model.leader = 'node2';
    model.term = 3;
    const startedAt = Date.now();
    const result = await reconcile(model, input(2, 'node1'), undefined, { ...hasty, leaderSilentMs: 60_000 });
    expect(result.superseded).toBe(true);
    expect(Date.now() - startedAt).toBeLessThan(5_000);
    expect(model.orders).toEqual([]);
  });

  test.each(['node0', 'node2', 'h1'])('a higher generation on %s is reported and respected', async (name) => {
    const model = new Model();
    const node = model.nodes.get(name);
    if (node) node.generation = 41;
    else {
      const order = wantedFor(spec, 41, { leader: 'node2', term: 7, live: [] }).routes[name];
      if (order) model.proxies.set(name, routeOf(order));
    }
    const result = await reconcile(model, input(1, 'node0'), undefined, hasty);
    expect(result.stale).toBe(41);
    const adopted = await reconcile(model, { ...input(42, 'node0', 1) }, undefined, hasty);
    expect(adopted).toMatchObject({ jupyter: 'node0', drifts: [] });
    expect(adopted).not.toHaveProperty('stale');
  });
});

describe('for every sequence of events', () => {
  const step = fc.record({
    /** How many generations the reconcile lags: a partitioned worker may return. */
    behind: fc.constantFrom(0, 0, 0, 1, 3),
    moves: fc.boolean(),
    leader: fc.constantFrom(...nodes),
    gone: fc.subarray([...nodes, ...hosts]),
    deaf: fc.subarray([...nodes, ...hosts], { maxLength: 2 }),
    edited: fc.option(fc.constantFrom(...nodes), { nil: undefined }),
  });

  test('generations never fall; reachable nodes have one Jupyter, on the leader, and its route', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
        const model = new Model();
        model.term = 0;
        const leaders = ['node0'];
        for (const { behind, moves, leader, gone, deaf, edited } of steps) {
          if (moves) leaders.push(leader);
          const generation = Math.max(1, leaders.length - behind);
          const now = leaders[generation - 1] ?? 'node0';
          model.leader = now;
          model.gone.clear();
          for (const name of gone) model.gone.add(name);
          for (const name of deaf) model.deaf.add(name);
          const node = edited === undefined ? undefined : model.nodes.get(edited);
          if (node) node.digest = 'edited by hand';
          const before = generationsOf(model);

          const result = await reconcile(model, input(generation, now), undefined, hasty);

          const after = generationsOf(model);
          expect(after.every((value, index) => value >= (before[index] ?? 0))).toBe(true);
          model.deaf.clear();
          if (result.stale !== undefined) {
            expect(result.stale).toBeGreaterThan(generation);
            continue;
          }
          if (result.jupyter === undefined) continue;
          const reached = (name: string) => !result.unreachable.includes(name);
          expect(result.drifts.filter(({ subject }) => reached(subject))).toEqual([]);
          expect(model.running().filter((name) => name === now || reached(name))).toEqual([now]);
          for (const host of hosts.filter(reached)) {
            expect(model.proxies.get(host)).toMatchObject({ generation, node: now });
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  function generationsOf(model: Model): number[] {
    return [
      ...[...model.nodes.values()].map(({ generation }) => generation),
      ...[...model.proxies.values()].map((route) => route?.generation ?? 0),
    ];
  }
});
