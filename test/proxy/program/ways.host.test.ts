import { once } from 'node:events';
import http from 'node:http';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { RouteOrder } from '../../../src/proxy/api.js';
import { Ways } from '../../../src/proxy/program/ways.js';
import { startGate, type TestGate } from '../../support/gate.js';
import { startProxy, type TestProxy } from '../../support/proxy.js';

const proxies: TestProxy[] = [];
const gates: TestGate[] = [];
let generation = 0;

beforeAll(async () => {
  for (const index of [1, 2, 3]) proxies.push(await startProxy({ address: `127.26.1.4${index}` }));
  // One gate on each host's machine.
  for (const index of [0, 1, 2]) {
    gates.push(await startGate({ address: `127.26.2.4${index}`, node: `node${index}`, term: 1 }));
  }
});
afterAll(async () => {
  await Promise.all(proxies.map((proxy) => proxy.remove()));
  await Promise.all(gates.map((gate) => gate.close()));
});

type Topology = 'owner' | 'chain';

/** As composed by the keeper: from host `at` to node `to`, on the host with the same number. */
function waysOf(topology: Topology, at: number, to: number): string[] {
  const node = gates[to]?.url ?? '';
  const url = (host: number) => proxies[host % 3]?.url ?? '';
  if (at === to) return [node];
  return topology === 'owner' ? [url(to), node] : [url(at + 1), url(at + 2), node];
}

async function orderAll(topology: Topology, node: number): Promise<void> {
  generation += 1;
  await Promise.all(
    proxies.map(async (proxy, at) => {
      const nodes = gates.map((_, to) => ({ name: `node${to}`, ways: waysOf(topology, at, to) }));
      const order: RouteOrder = {
        ...{ generation, term: generation, node: `node${node}`, nodes, reflexes: true, drainMs: 1_000 },
      };
      await proxy.client.setRoute(order, { timeoutMs: 10_000 });
    }),
  );
}

/** Opens exactly one gate, at the term of the next order. */
async function openOnly(node: number): Promise<void> {
  await Promise.all(gates.map((gate) => gate.shut({ inOrder: false })));
  await gates[node]?.open(generation + 1);
}

async function get(proxy: TestProxy): Promise<string> {
  const answer = await request(proxy.url);
  return `${answer.statusCode} ${await answer.body.text()}`;
}

async function echoes(proxy: TestProxy): Promise<boolean> {
  const socket = new WebSocket(proxy.url.replace('http', 'ws'));
  await once(socket, 'open');
  socket.send('echo');
  const [data] = (await once(socket, 'message')) as [Buffer];
  socket.terminate();
  return data.toString() === 'echo';
}

describe.each(['owner', 'chain'] as const)('topology %s', (topology) => {
  test('each host uses the first of its ways', async () => {
    await openOnly(2);
    await orderAll(topology, 2);
    for (const [at, proxy] of proxies.entries()) {
      expect(await get(proxy)).toBe('200 node2');
      // A way that a busy machine delays is skipped until it has responded again.
      await vi.waitFor(async () => {
        expect(await echoes(proxy)).toBe(true);
        expect((await proxy.client.route())?.serving.target).toBe(waysOf(topology, at, 2)[0]);
      }, 20_000);
    }
  });

  test('a reflex finds the next gate through the proxies', async () => {
    await openOnly(0);
    await orderAll(topology, 0);
    for (const proxy of proxies) expect(await get(proxy)).toBe('200 node0');
    await gates[0]?.shut();
    await gates[1]?.open(generation + 1);
    for (const proxy of proxies) {
      expect(await get(proxy)).toBe('200 node1');
      expect((await proxy.client.route())?.serving).toMatchObject({ node: 'node1', by: 'reflex' });
    }
    // The next order needs a higher term than the one found by reflex.
    generation += 1;
  });

  test.each(['SIGTERM', 'SIGKILL', 'SIGSTOP'] as const)(
    'every host reaches Jupyter while another proxy is down (%s)',
    async (signal) => {
      for (const [at, proxy] of proxies.entries()) {
        await openOnly(2);
        await orderAll(topology, 2);
        const others = proxies.filter((each) => each !== proxy);
        for (const other of others) expect(await get(other)).toBe('200 node2');
        const { pid } = await proxy.client.health();
        if (signal === 'SIGSTOP') process.kill(pid, signal);
        else await proxy.end(signal);
        try {
          for (const other of others) {
            expect(await get(other), `h${at + 1} is gone`).toBe('200 node2');
            expect(await echoes(other)).toBe(true);
          }
        } finally {
          if (signal === 'SIGSTOP') process.kill(pid, 'SIGCONT');
          else await proxy.start();
        }
        // Once restarted, it is on the way again.
        expect(await get(proxy)).toBe('200 node2');
        const [other] = others;
        await vi.waitFor(async () => {
          expect(other && (await echoes(other))).toBe(true);
          const target = (await other?.client.route())?.serving.target;
          expect(target).toBe(other && waysOf(topology, proxies.indexOf(other), 2)[0]);
        }, 10_000);
      }
    },
  );
});

test('a request does not hang in a tunnel through two proxies when the second one is stopped', async () => {
  const [first, second, third] = proxies as [TestProxy, TestProxy, TestProxy];
  await openOnly(2);
  await orderAll('chain', 2);
  expect(await get(first)).toBe('200 node2');
  // From now on, the gate is polled over another way.
  const { pid } = await second.client.health();
  process.kill(pid, 'SIGSTOP');
  try {
    await vi.waitFor(async () => {
      expect(await get(first)).toBe('200 node2');
      expect((await first.client.route())?.serving.target).not.toBe(second.url);
    }, 10_000);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await vi.waitFor(async () => {
    expect(await echoes(first)).toBe(true);
    expect((await first.client.route())?.serving.target).toBe(second.url);
  }, 10_000);
  const together = await Promise.all(Array.from({ length: 8 }, () => get(first)));
  expect(new Set(together)).toEqual(new Set(['200 node2']));
  const { pid: last } = await third.client.health();
  process.kill(last, 'SIGSTOP');
  try {
    for (let round = 0; round < 10; round += 1) expect(await get(first)).toBe('200 node2');
  } finally {
    process.kill(last, 'SIGCONT');
  }
}, 60_000);

test('a tunnel leads only to the gates of nodes', async () => {
  await openOnly(0);
  await orderAll('owner', 0);
  const { hostname: host, port } = new URL(proxies[0]?.url ?? '');
  const api = proxies[0]?.host.ports.proxyApi;
  for (const [path, status, failure] of [
    [`${host}:${api}`, 403, 'not-a-node'],
    ['example.org:443', 403, 'not-a-node'],
    [new URL(gates[1]?.url ?? '').host, 502, 'refused'],
  ] as const) {
    const asked = http.request({ host, port, method: 'CONNECT', path });
    asked.end();
    const [answer, socket] = (await once(asked, 'connect')) as [http.IncomingMessage, NodeJS.WritableStream];
    socket.end();
    expect([answer.statusCode, answer.headers['x-perijove-tunnel']]).toEqual([status, failure]);
  }
});

test('a proxy that does not know a node is no dead way: others keep their tunnels through it', async () => {
  const [, direct] = gates;
  const [proxy] = proxies;
  if (!direct || !proxy) throw new Error('they were started');
  await openOnly(1);
  await orderAll('owner', 1);
  const ways = new Ways('127.26.1.49:8888', [proxy.token]);
  const known = { ways: [proxy.url, direct.url] };
  const tunnel = await ways.dial(known);
  if (tunnel.kind !== 'connected') throw new Error(`it is ${tunnel.kind}`);
  // The proxies' routes have no such node.
  const unknown = { ways: [proxy.url, 'http://127.26.2.49:1'] };
  expect(await ways.dial(unknown)).toMatchObject({ kind: 'refused' });
  expect(ways.best(known)).toBe(proxy.url);
  expect(tunnel.socket.destroyed).toBe(false);
  tunnel.socket.destroy();
});
