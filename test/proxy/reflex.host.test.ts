import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import { request } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { RouteOrder } from '../../src/proxy/api.js';
import { startGate, startGateProcess, type TestGate } from '../support/gate.js';
import { startProxy, type TestProxy } from '../support/proxy.js';

let proxy: TestProxy;
let generation = 0;
let term = 0;
const gates: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  proxy = await startProxy({ address: '127.26.1.31' });
});
afterAll(() => proxy?.remove());
afterEach(async () => {
  await Promise.all(gates.splice(0).map((gate) => gate.close()));
});

/** `node0` to `node2`; the first one is open at a new term, the others are shut. */
async function threeGates(): Promise<[TestGate, TestGate, TestGate]> {
  term += 10;
  const started = await Promise.all(
    [0, 1, 2].map((index) =>
      startGate({
        address: `127.26.2.3${index}`,
        node: `node${index}`,
        term,
        answer: (incoming, response) => {
          let text = '';
          incoming.on('data', (data: Buffer) => (text += data.toString()));
          incoming.on('end', () => response.end(`node${index} ${incoming.method} ${text}`));
        },
      }),
    ),
  );
  gates.push(...started);
  const [first, second, third] = started;
  if (!first || !second || !third) throw new Error('three were started');
  await Promise.all([second.shut(), third.shut()]);
  return [first, second, third];
}

function orderTo(of: readonly Pick<TestGate, 'node'>[], changes: Partial<RouteOrder> = {}): RouteOrder {
  generation += 1;
  const nodes = of.map(({ node }) => node);
  const node = nodes[0]?.name ?? '';
  return { generation, term, node, nodes, reflexes: true, drainMs: 30_000, ...changes };
}

async function get(path = '/', headers: Record<string, string> = {}) {
  const { statusCode, headers: answered, body } = await request(`${proxy.url}${path}`, { headers });
  return { status: statusCode, headers: answered, text: await body.text() };
}

async function serving() {
  return (await proxy.client.route())?.serving;
}

const toWebsocket = () => new WebSocket(`${proxy.url.replace('http', 'ws')}/api/kernels/1/channels`);

describe('with reflexes', () => {
  test('requests go to the open gate of the highest term, also after a crash, until the keeper’s next order', async () => {
    const [first, second, third] = await threeGates();
    const order = orderTo([first, second, third]);
    await proxy.client.setRoute(order);
    expect((await get()).text).toBe('node0 GET ');
    await first.shut();
    await second.open(term + 1);
    expect((await get()).text).toBe('node1 GET ');
    expect(await serving()).toMatchObject({
      node: 'node1',
      target: second.url,
      term: term + 1,
      by: 'reflex',
    });
    // The same order again, as after a lost reply: a reflex is newer.
    expect(await proxy.client.setRoute(order)).toMatchObject({ changed: false, route: { node: 'node0' } });
    expect(await serving()).toMatchObject({ node: 'node1' });

    await vi.waitFor(async () =>
      expect(JSON.parse(await readFile(proxy.routeFile, 'utf8'))).toMatchObject({
        serving: { node: 'node1', by: 'reflex' },
      }),
    );
    await proxy.end('SIGKILL');
    await proxy.start();
    expect((await get()).text).toBe('node1 GET ');

    await third.open(term + 2);
    await proxy.client.setRoute({ ...order, generation: (generation += 1), term: term + 2, node: 'node2' });
    expect((await get()).text).toBe('node2 GET ');
    expect(await serving()).toMatchObject({ node: 'node2', by: 'keeper' });
  });

  test('a closing gate is left for one of a higher term, and used until there is one', async () => {
    const [first, second, third] = await threeGates();
    await proxy.client.setRoute(orderTo([first, second, third]));
    first.status = { ...first.status, closing: true };
    const asked = first.asked;
    await vi.waitFor(() => expect(first.asked).toBeGreaterThan(asked + 5), 5_000);
    expect((await get()).text).toBe('node0 GET ');
    await second.open(term + 1);
    await vi.waitFor(async () => expect(await serving()).toMatchObject({ node: 'node1' }), 5_000);
    expect(first.status.open).toBe(true);
  });

  test('requests never go to a gate of a lower or equal term', async () => {
    const [first, second, third] = await threeGates();
    await proxy.client.setRoute(orderTo([first, second, third]));
    expect((await get()).status).toBe(200);
    await second.open(term);
    await third.open(term - 1);
    await first.shut();
    const answer = await get();
    expect(answer.status).toBe(503);
    expect(answer.headers['retry-after']).toBe('1');
    expect(JSON.parse(answer.text)).toMatchObject({ code: 'NO_LEADER', node: 'node0' });
    expect(second.asked).toBeGreaterThan(0);
    expect(third.asked).toBeGreaterThan(0);
    await first.open();
    expect((await get()).text).toBe('node0 GET ');
  });

  test('reads, uploads and websockets that arrive during a failover wait and succeed', async () => {
    const [first, second, third] = await threeGates();
    await proxy.client.setRoute(orderTo([first, second, third]));
    expect((await get()).status).toBe(200);
    await first.shut({ inOrder: false });
    const socket = toWebsocket();
    const opened = once(socket, 'open');
    const large = 'x'.repeat(1_000_000);
    const requests = [
      get(),
      get('/lab', { accept: 'text/html' }),
      ...['short', large].map(async (body) => {
        const answer = await request(proxy.url, { method: 'POST', body });
        return { status: answer.statusCode, text: await answer.body.text() };
      }),
    ];
    await vi.waitFor(async () => expect((await proxy.client.health()).answering).toBe(false));
    await third.open(term + 1);
    const answers = await Promise.all(requests);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(answers.map(({ text }) => text.slice(0, 10))).toEqual([
      'node2 GET ',
      'node2 GET ',
      'node2 POST',
      'node2 POST',
    ]);
    expect(answers[3]?.text).toHaveLength('node2 POST '.length + large.length);
    await opened;
    socket.terminate();
  });

  test('requests of an open page wait longer than those of programs: JupyterLab shows a dialog on a 503', async () => {
    const [first, second, third] = await threeGates();
    await proxy.client.setRoute(orderTo([first, second, third]));
    await first.shut({ inOrder: false });
    const asked = get('/api/kernels', { cookie: 'username-jupyter=somebody' });
    expect((await get('/api/kernels')).status).toBe(503);
    await second.open(term + 1);
    expect(await asked).toMatchObject({ status: 200, text: 'node1 GET ' });
  });

  test('moves under load lose no request', async () => {
    const [first, second, third] = await threeGates();
    const all = [first, second, third];
    await proxy.client.setRoute(orderTo(all));
    const failed: string[] = [];
    let running = true;
    let count = 0;
    const client = async (method: 'GET' | 'POST') => {
      while (running) {
        const answer = await request(proxy.url, { method, ...(method === 'POST' && { body: 'a' }) });
        const text = await answer.body.text();
        count += 1;
        if (answer.statusCode !== 200) failed.push(`${answer.statusCode} ${text}`);
      }
    };
    const clients = [client('GET'), client('GET'), client('POST')];
    for (let move = 1; move <= 6; move++) {
      const from = all[(move - 1) % 3];
      const to = all[move % 3];
      const before = count;
      await vi.waitFor(() => expect(count).toBeGreaterThan(before + 10), 5_000);
      await from?.shut();
      await to?.open(term + move);
      await vi.waitFor(async () => expect(await serving()).toMatchObject({ node: to?.status.node }), 5_000);
    }
    running = false;
    await Promise.all(clients);
    expect(failed).toEqual([]);
  });

  test('a stopped node is left; its websockets are cut, and unanswered requests are sent elsewhere', async () => {
    const [, second, third] = await threeGates();
    const hung = await startGateProcess({ address: '127.26.2.35', node: 'node0', term });
    gates.push(hung);
    await proxy.client.setRoute(orderTo([hung, second, third]));
    const socket = toWebsocket();
    await once(socket, 'open');
    const closed = once(socket, 'close');
    const waiting = get('/hang');
    await vi.waitFor(async () =>
      expect((await proxy.client.health()).connections.current).toBeGreaterThan(1),
    );
    hung.signal('SIGSTOP');
    await second.open(term + 1);
    expect((await get()).text).toBe('node1 GET ');
    expect((await closed)[0]).toBe(1006);
    expect((await waiting).text).toBe('node1 GET ');
    await vi.waitFor(async () => expect((await proxy.client.health()).connections.draining).toBe(0));
  });

  test('websockets of a live node continue for the order’s drain time', async () => {
    const [first, second, third] = await threeGates();
    const order = orderTo([first, second, third]);
    await proxy.client.setRoute(order);
    const socket = toWebsocket();
    await once(socket, 'open');
    await first.shut();
    await second.open(term + 1);
    await vi.waitFor(async () => expect(await serving()).toMatchObject({ node: 'node1' }), 5_000);
    socket.send('still there?');
    expect(String(((await once(socket, 'message')) as [Buffer])[0])).toBe('still there?');
    expect((await proxy.client.health()).connections.draining).toBe(1);
    const closed = once(socket, 'close');
    // Another drain time in the same generation is accepted.
    expect(await proxy.client.setRoute({ ...order, drainMs: 200 })).toMatchObject({ changed: true });
    expect(await serving()).toMatchObject({ node: 'node1', by: 'reflex' });
    // Not 1000 or 1001, after which JupyterLab does not reconnect.
    expect((await closed)[0]).toBe(1006);
  });

  test('at most a thousand requests wait', async () => {
    const [first, second, third] = await threeGates();
    await proxy.client.setRoute(orderTo([first, second, third]));
    await first.shut();
    await vi.waitFor(async () => expect((await proxy.client.health()).answering).toBe(false));
    const { hostname, port } = new URL(proxy.url);
    const upgrade = [
      'GET /api/kernels/1/channels HTTP/1.1',
      `Host: ${hostname}:${port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}`,
    ];
    const answers: string[] = [];
    const sockets = Array.from({ length: 1_001 }, () => {
      const socket = net.connect(Number(port), hostname, () =>
        socket.write(`${upgrade.join('\r\n')}\r\n\r\n`),
      );
      socket.once('data', (data: Buffer) => answers.push(data.toString().slice(0, 12)));
      return socket;
    });
    try {
      await vi.waitFor(() => expect(answers).toEqual(['HTTP/1.1 503']), { timeout: 10_000, interval: 20 });
      await first.open();
      await vi.waitFor(() => expect(answers).toHaveLength(1_001), { timeout: 10_000, interval: 20 });
      expect(answers.filter((answer) => answer === 'HTTP/1.1 101')).toHaveLength(1_000);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });
});

describe('without reflexes', () => {
  test('only orders move users, and requests wait for them', async () => {
    const [first, second, third] = await threeGates();
    const order = orderTo([first, second, third], { reflexes: false });
    await proxy.client.setRoute(order);
    expect((await get()).text).toBe('node0 GET ');
    await first.shut();
    await second.open(term + 1);
    const held = get();
    await expect(get('/lab', { accept: 'text/html' })).resolves.toMatchObject({ status: 503 });
    expect(await serving()).toMatchObject({ node: 'node0', by: 'keeper' });
    expect(second.asked).toBe(0);
    await proxy.client.setRoute({ ...order, generation: (generation += 1), node: 'node1' });
    expect(await held).toMatchObject({ status: 200, text: 'node1 GET ' });
  });
});

test('Perijove’s own paths never reach Jupyter, however they are written', async () => {
  const paths: (string | undefined)[] = [];
  const gate = await startGate({
    address: '127.26.2.36',
    node: 'node0',
    term: (term += 10),
    answer: (incoming, response) => {
      paths.push(incoming.url);
      response.end();
    },
  });
  gates.push(gate);
  await proxy.client.setRoute(orderTo([gate]));
  for (const path of ['/.perijove/gate', '/.perijove/gate?x=1', '//.perijove/gate', '/%2eperijove/gate'])
    expect((await get(path)).status).toBe(404);
  const socket = new WebSocket(`${proxy.url.replace('http', 'ws')}/.perijove/gate`);
  const [, refused] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
  expect(refused.statusCode).toBe(404);
  expect(paths).toEqual([]);
});
