import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { RouteNode, RouteOrder } from '../../src/proxy/api.js';
import type { ProxyClient } from '../../src/proxy/client.js';
import { proxyClient } from '../../src/proxy/client.js';
import { proxyItems } from '../../src/proxy/items.js';
import { startGate, startGateProcess, type TestGate } from '../support/gate.js';
import { builtProgram } from '../support/programs.js';
import { makeSpec } from '../support/spec.js';
import { residentBytes, startProxy, type TestProxy } from '../support/proxy.js';

let proxy: TestProxy;
let generation = 0;
const targets: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  proxy = await startProxy({ address: '127.26.1.1' });
});
afterAll(() => proxy?.remove());
afterEach(async () => {
  await Promise.all(targets.splice(0).map((target) => target.close()));
});

async function startTarget(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<TestGate> {
  const target = await startGate({ address: '127.26.2.10', answer });
  targets.push(target);
  return target;
}

function orderTo(node: RouteNode): RouteOrder {
  return { generation, term: 1, node: node.name, nodes: [node], reflexes: true, drainMs: 30_000 };
}

/** Resolves once the gate is known to be open. */
async function routeTo(target: TestGate, name = 'node1'): Promise<void> {
  generation += 1;
  target.status = { ...target.status, node: name };
  const result = await proxy.client.setRoute(orderTo(target.node));
  expect(result).toMatchObject({ kind: 'set', changed: true });
}

/** Routes to an address without a gate. */
async function routeToNobody(url: string, name = 'node1'): Promise<void> {
  generation += 1;
  const result = await proxy.client.setRoute(orderTo({ name, ways: [url] }));
  expect(result).toMatchObject({ kind: 'set', changed: true });
}

/** A port with no listener. */
async function nobody(): Promise<string> {
  const target = await startTarget(() => undefined);
  await target.close();
  return target.url;
}

const browser = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

async function get(path: string, headers: Record<string, string> = {}) {
  const { statusCode, headers: answered, body } = await request(`${proxy.url}${path}`, { headers });
  return { status: statusCode, headers: answered, text: await body.text() };
}

describe('without a route', () => {
  test('browsers get a page that says so, programs 503 with Retry-After', async () => {
    const page = await get('/lab/tree/a.ipynb?token=in-the-query', browser);
    expect(page.status).toBe(503);
    expect(page.headers['retry-after']).toBe('1');
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(page.headers['cache-control']).toBe('no-store');
    expect(page.text).toContain('There is no route to Jupyter yet');
    expect(page.text).not.toContain('in-the-query');

    for (const [path, headers] of [
      ['/lab', { accept: 'application/json' }],
      ['/api/kernels', browser],
      ['/api', browser],
    ] as const) {
      const answer = await get(path, headers);
      expect(answer.status).toBe(503);
      expect(answer.headers['retry-after']).toBe('1');
      expect(JSON.parse(answer.text)).toMatchObject({ code: 'NO_ROUTE', node: null });
    }
  });

  test('a websocket is rejected with the same response', async () => {
    const socket = new WebSocket(`${proxy.url.replace('http', 'ws')}/api/kernels/1/channels`);
    const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
    expect(answer.statusCode).toBe(503);
    expect(answer.headers['retry-after']).toBe('1');
    const body = await new Response(Readable.toWeb(answer) as ReadableStream).text();
    expect(JSON.parse(body)).toMatchObject({ code: 'NO_ROUTE' });
  });

  test('the page can poll whether Jupyter is available', async () => {
    expect(JSON.parse((await get('/.perijove/status')).text)).toMatchObject({
      ready: false,
      code: 'NO_ROUTE',
    });
    const target = await startTarget((_request, response) => response.end('here'));
    await routeTo(target);
    await expect
      .poll(async () => JSON.parse((await get('/.perijove/status')).text) as unknown)
      .toEqual({ ready: true });
  });
});

describe('the API', () => {
  test('accepts a route once, and none of a lower generation', async () => {
    const target = await startTarget((_request, response) => response.end('here'));
    await routeTo(target);
    const order = orderTo(target.node);
    expect(await proxy.client.route()).toMatchObject(order);
    const before = await proxy.client.route();
    expect(before?.serving).toMatchObject({ node: 'node1', target: target.url, term: 1, by: 'keeper' });

    // The reply was lost, and the order is repeated.
    expect(await proxy.client.setRoute(order)).toEqual({
      kind: 'set',
      changed: false,
      route: before,
    });

    expect(await proxy.client.setRoute({ ...order, generation: generation - 1 })).toEqual({
      kind: 'stale',
      generation,
    });
    expect(await proxy.client.route()).toMatchObject(order);
    await expect.poll(async () => (await proxy.client.health()).stored).toBe(true);
    expect(JSON.parse(await readFile(proxy.routeFile, 'utf8'))).toEqual(before);
    expect(await proxy.client.health()).toMatchObject({
      pid: expect.any(Number) as number,
      route: order,
      answering: true,
      stored: true,
    });
  });

  test('rejects a wrong token and invalid orders', async () => {
    const { address, ports } = proxy.host;
    const stranger: ProxyClient = proxyClient({ host: address, port: ports.proxyApi }, 'wrong');
    await expect(stranger.route()).rejects.toMatchObject({ code: 'PROXY_TOKEN_REFUSED' });
    const api = `http://${address}:${ports.proxyApi}`;
    expect((await request(`${api}/route`)).statusCode).toBe(401);
    const order = { ...orderTo({ name: 'node1', ways: ['http://127.26.2.10:1'] }), generation: 1e9 };
    const bad = [
      {},
      { ...order, node: 'node2' },
      { ...order, nodes: [{ name: 'node1', ways: ['ftp://a'] }] },
    ];
    const bodies = [...bad.map((each) => JSON.stringify(each)), '{'];
    for (const [body, status] of [
      ...bodies.map((each) => [each, 400] as const),
      ['x'.repeat(100_000), 413] as const,
    ]) {
      const answer = await request(`${api}/route`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${proxy.token}` },
        body,
      });
      expect(answer.statusCode).toBe(status);
    }
  });

  test('the client times out, and detects that a server is not a proxy', async () => {
    const silent = net.createServer();
    silent.listen(0, '127.26.1.9');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const client = proxyClient({ host: '127.26.1.9', port }, 'x');
    await expect(client.route({ timeoutMs: 100 })).rejects.toMatchObject({ code: 'PROXY_UNREACHABLE' });
    silent.close();
    const other = await startTarget((_request, response) => response.end('<html>'));
    const { hostname, port: otherPort } = new URL(other.url);
    await expect(proxyClient({ host: hostname, port: Number(otherPort) }, 'x').route()).rejects.toMatchObject(
      { code: 'PROXY_BAD_ANSWER' },
    );
  });

  test('a killed proxy serves its last route at once; one with a broken file waits', async () => {
    const target = await startTarget((_request, response) => response.end('still here'));
    await routeTo(target);
    const before = await proxy.client.route();
    await expect.poll(async () => (await proxy.client.health()).stored).toBe(true);
    await proxy.end('SIGKILL');
    await proxy.start();
    expect((await get('/')).text).toBe('still here');
    expect(await proxy.client.route()).toEqual(before);

    await proxy.end('SIGKILL');
    await writeFile(proxy.routeFile, '{"generation":');
    await proxy.start();
    expect(await proxy.client.route()).toBeNull();
    expect((await get('/')).status).toBe(503);
  });
});

describe('forwarding', () => {
  test('keeps Host, adds X-Forwarded, drops hop-by-hop headers', async () => {
    let seen: IncomingMessage['headers'] = {};
    const target = await startTarget((incoming, response) => {
      seen = incoming.headers;
      response.writeHead(200, {
        'keep-alive': 'timeout=99',
        connection: 'x-hop',
        'x-hop': '1',
        'x-end': '2',
      });
      response.end();
    });
    await routeTo(target);
    const answer = await new Promise<IncomingMessage>((resolve) => {
      http.get(
        `${proxy.url}/x`,
        {
          headers: {
            host: 'jupyter.example:8888',
            connection: 'keep-alive, x-mine',
            'x-mine': 'for the proxy only',
            'proxy-authorization': 'Basic eDp5',
            te: 'trailers',
            'x-other': 'for Jupyter',
            'x-forwarded-for': '10.0.0.9',
          },
        },
        resolve,
      );
    });
    answer.resume();
    expect(seen).toMatchObject({
      host: 'jupyter.example:8888',
      'x-other': 'for Jupyter',
      'x-forwarded-for': expect.stringMatching(/^10\.0\.0\.9,\s*127\./) as string,
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'jupyter.example:8888',
      'x-forwarded-port': '8888',
    });
    for (const name of ['x-mine', 'proxy-authorization', 'te']) expect(seen).not.toHaveProperty(name);
    expect(answer.headers).toHaveProperty('x-end', '2');
    expect(answer.headers).not.toHaveProperty('x-hop');
    expect(answer.headers['keep-alive']).not.toBe('timeout=99');
  });

  test('accepts as many cookies as Jupyter does', async () => {
    const target = await startTarget((incoming, response) => {
      response.end(String(incoming.headers.cookie?.length));
    });
    await routeTo(target);
    const cookie = `a=${'x'.repeat(15_000)}`;
    expect((await get('/', { cookie })).text).toBe(String(cookie.length));
    const larger = await request(proxy.url, { headers: { cookie: `a=${'x'.repeat(70_000)}` } });
    expect(larger.statusCode).toBe(431);
    const [, ...flags] = proxyItems(makeSpec(), proxy.host).services[0]?.exec ?? [];
    expect(flags).toContain('--max-http-header-size=65536');
  });

  test('keeps connections on both sides', async () => {
    const target = await startTarget((_request, response) => response.end('x'));
    await routeTo(target);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    for (let count = 0; count < 5; count++) {
      const [answer] = (await once(http.get(proxy.url, { agent }), 'response')) as [IncomingMessage];
      ports.add(answer.socket.localPort);
      answer.resume();
      await once(answer, 'end');
    }
    agent.destroy();
    expect(ports.size).toBe(1);
    // The other one is that of the gate polls.
    expect(target.sockets.size).toBe(2);
  });

  test('streams uploads and downloads of 200 MB without buffering them', async () => {
    const bytes = 200 * 1024 * 1024;
    const block = randomBytes(1024 * 1024);
    const target = await startTarget((incoming, response) => {
      if (incoming.method === 'GET') {
        Readable.from(repeat(block, bytes)).pipe(response);
        return;
      }
      const hash = createHash('sha256');
      incoming.on('data', (data: Buffer) => hash.update(data));
      incoming.on('end', () => response.end(hash.digest('hex')));
    });
    await routeTo(target);
    const expected = createHash('sha256');
    for (const part of repeat(block, bytes)) expected.update(part);
    const hash = expected.digest('hex');

    const sized = await request(proxy.url, {
      method: 'PUT',
      headers: { 'content-length': String(bytes) },
      body: Readable.from(repeat(block, bytes)),
    });
    expect(await sized.body.text()).toBe(hash);
    const chunked = await request(proxy.url, { method: 'POST', body: Readable.from(repeat(block, bytes)) });
    expect(await chunked.body.text()).toBe(hash);

    const received = createHash('sha256');
    const download = await request(`${proxy.url}/files/big`);
    for await (const data of download.body as AsyncIterable<Buffer>) received.update(data);
    expect(received.digest('hex')).toBe(hash);
    expect(await residentBytes((await proxy.client.health()).pid)).toBeLessThan(200 * 1024 * 1024);
  });

  test('forwards each chunk of a response as it arrives', async () => {
    let more: (() => void) | undefined;
    const target = await startTarget((_request, response) => {
      response.write('first');
      more = () => response.end('second');
    });
    await routeTo(target);
    const { body } = await request(proxy.url);
    const pieces = (body as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
    expect(String((await pieces.next()).value)).toBe('first');
    more?.();
    expect(String((await pieces.next()).value)).toBe('second');
  });

  test('a truncated response does not look complete', async () => {
    const target = await startTarget((_request, response) => {
      response.write('half');
      setImmediate(() => response.destroy());
    });
    await routeTo(target);
    const { body } = await request(proxy.url);
    await expect(body.text()).rejects.toThrow();
  });

  test('a body without framing is rejected, not forwarded as a second request', async () => {
    const paths: (string | undefined)[] = [];
    const target = await startTarget((incoming, response) => {
      paths.push(incoming.url);
      response.end();
    });
    await routeTo(target);
    const answer = await request(`${proxy.url}/a`, {
      method: 'DELETE',
      body: Readable.from(['GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n']),
    });
    expect(answer.statusCode).toBe(411);
    await get('/b');
    expect(paths).toEqual(['/b']);
  });

  test('carries 100 concurrent websockets', async () => {
    const target = await startTarget((_request, response) => response.end());
    await routeTo(target);
    const url = `${proxy.url.replace('http', 'ws')}/api/kernels/1/channels`;
    const sockets = Array.from({ length: 100 }, () => new WebSocket(url));
    await Promise.all(sockets.map((socket) => once(socket, 'open')));
    const message = randomBytes(300_000);
    const echoes = await Promise.all(
      sockets.map(async (socket) => {
        const echo = once(socket, 'message') as Promise<[Buffer]>;
        socket.send(message);
        return (await echo)[0].equals(message);
      }),
    );
    expect(echoes.every(Boolean)).toBe(true);
    expect((await proxy.client.health()).connections.current).toBeGreaterThanOrEqual(100);
    await Promise.all(
      sockets.map(async (socket) => {
        const closed = once(socket, 'close');
        socket.close();
        await closed;
      }),
    );
  });
});

describe('a target that does not respond', () => {
  test('refuses: the page shows which node and since when, and opens automatically later', async () => {
    await routeToNobody(await nobody(), 'node3');
    const page = await get('/lab', browser);
    expect(page.status).toBe(503);
    expect(page.text).toContain('node3 leads. Its Jupyter is starting.');
    const first = JSON.parse((await get('/api/status')).text) as { since: string; waitedMs: number };
    const second = JSON.parse((await get('/.perijove/status')).text) as { since: string; waitedMs: number };
    expect(first).toMatchObject({ code: 'STARTING', node: 'node3' });
    expect(second.since).toBe(first.since);
    expect(await proxy.client.health()).toMatchObject({ answering: false });
  });

  test('an upload gets its 503 before it ends', async () => {
    await routeToNobody(await nobody());
    const endless = new Readable({ read() {} });
    endless.push(Buffer.alloc(100_000));
    const answer = await request(proxy.url, { method: 'POST', body: endless });
    expect(answer.statusCode).toBe(503);
    endless.destroy();
    await answer.body.dump().catch(() => undefined);
  });

  test('no connection within a second counts as refused', async () => {
    // A full backlog: the kernel drops further SYNs, as if the host were down.
    const full = await fullBacklog('127.26.2.77');
    targets.push(full);
    await routeToNobody(full.url);
    const startedAt = Date.now();
    expect((await get('/lab', browser)).status).toBe(503);
    expect(Date.now() - startedAt).toBeLessThan(4_000);
  });

  test('accepts without a reply: page loads are aborted, requests of programs are not', async () => {
    const held: ServerResponse[] = [];
    let stalled = true;
    const target = await startTarget((incoming, response) => {
      if (stalled) held.push(response);
      else response.end(`answer to ${incoming.url}`);
    });
    await routeTo(target);
    const slow = get('/api/contents/big.ipynb', { accept: 'application/json' });
    const page = await get('/lab', browser);
    expect(page.status).toBe(503);
    stalled = false;
    for (const response of held) response.end('late, but whole');
    expect(await slow).toMatchObject({ status: 200, text: 'late, but whole' });
  });

  test('a slow page is not aborted while its target answers other requests', async () => {
    const target = await startTarget((incoming, response) => {
      setTimeout(() => response.end('slow'), incoming.url === '/nbconvert/pdf/a' ? 6_500 : 0);
    });
    await routeTo(target);
    expect(await get('/nbconvert/pdf/a', browser)).toMatchObject({ status: 200, text: 'slow' });
  });
});

describe('a route that moves', () => {
  test('to another target: websockets stay while the old one responds, and are cut when it is gone', async () => {
    const old = await startTarget((_request, response) => response.end('old'));
    const next = await startTarget((_request, response) => response.end('next'));
    await routeTo(old);
    const socket = new WebSocket(`${proxy.url.replace('http', 'ws')}/x`);
    await once(socket, 'open');
    await routeTo(next, 'node2');
    expect((await get('/')).text).toBe('next');
    socket.send('still there?');
    expect(String(((await once(socket, 'message')) as [Buffer])[0])).toBe('still there?');
    expect((await proxy.client.health()).connections.draining).toBe(1);
    const closed = once(socket, 'close');
    await old.close();
    await closed;
  });

  test('away from a hanging target: its websockets are cut, and a waiting request goes to the new one', async () => {
    // A stopped process: the kernel accepts, and nothing reads.
    const hung = await startGateProcess({ address: '127.26.2.11', node: 'node1', term: 1 });
    targets.push(hung);
    await routeToNobody(hung.node.ways[0] ?? '');
    const socket = new WebSocket(`${proxy.url.replace('http', 'ws')}/x`);
    await once(socket, 'open');
    const waiting = get('/hang');
    hung.signal('SIGSTOP');
    const next = await startTarget((_request, response) => response.end('next'));
    const closed = once(socket, 'close');
    await routeTo(next, 'node2');
    await closed;
    expect((await waiting).text).toBe('next');
    await expect.poll(async () => (await proxy.client.health()).connections.draining).toBe(0);
  });
});

/** Whether a new connection is accepted. */
function listens({ hostname, port }: URL): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), hostname);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

describe('the program', () => {
  test('exits on SIGTERM once in-flight requests have ended, regardless of websockets', async () => {
    const own = await startProxy({ address: '127.26.1.2' });
    try {
      let finish: (() => void) | undefined;
      const target = await startTarget((_request, response) => {
        response.write('begun ');
        finish = () => response.end('ended');
      });
      await own.client.setRoute({ ...orderTo(target.node), generation: 1 });
      const socket = new WebSocket(own.url.replace('http', 'ws'));
      await once(socket, 'open');
      const { body } = await request(own.url);
      const ended = own.end('SIGTERM');
      await expect.poll(() => listens(new URL(own.url))).toBe(false);
      finish?.();
      expect(await body.text()).toBe('begun ended');
      expect(await ended).toBe(0);
    } finally {
      await own.remove();
    }
  });

  test('does not wait for a request longer than 2 s', async () => {
    const own = await startProxy({ address: '127.26.1.2' });
    try {
      const target = await startTarget((_request, response) => response.write('begun'));
      await own.client.setRoute({ ...orderTo(target.node), generation: 1 });
      const { body } = await request(own.url);
      const [code] = await Promise.all([own.end('SIGTERM'), body.text().catch(() => undefined)]);
      expect(code).toBe(0);
    } finally {
      await own.remove();
    }
  });

  test('reports which process has its port, and exits 1', async () => {
    const holder = http.createServer().listen(8888, '127.26.1.3');
    await once(holder, 'listening');
    try {
      await expect(startProxy({ address: '127.26.1.3' })).rejects.toThrow(/PORT_IN_USE: 127\.26\.1\.3:8888/);
    } finally {
      holder.close();
    }
  });

  test('requires a configuration', async () => {
    const child = spawn(process.execPath, [await builtProgram('perijove-proxy')]);
    expect(await once(child, 'exit')).toEqual([2, null]);
  });

  test('logs JSON, without the token and without queries', async () => {
    const target = await startTarget((_request, response) => response.end());
    await routeTo(target);
    await get('/lab?token=jupyter-token-in-query', { authorization: 'token jupyter-token-in-header' });
    await routeToNobody(await nobody());
    await get('/lab?token=jupyter-token-in-query', { ...browser, cookie: 'username=jupyter-cookie' });
    const lines = proxy.output().trim().split('\n');
    for (const line of lines) expect(() => JSON.parse(line) as unknown).not.toThrow();
    expect(lines.length).toBeGreaterThan(2);
    expect(proxy.output()).toContain('the gate is shut');
    for (const secret of [proxy.token, 'jupyter-token', 'jupyter-cookie']) {
      expect(proxy.output()).not.toContain(secret);
    }
  });

  test('many concurrent clients get their own responses', async () => {
    const target = await startTarget((incoming, response) => {
      setTimeout(() => response.end(incoming.url), Math.random() * 20);
    });
    await routeTo(target);
    const dispatcher = new Agent({ connections: 50 });
    const answers = await Promise.all(
      Array.from({ length: 500 }, async (_, index) => {
        const { body } = await request(`${proxy.url}/${index}`, { dispatcher });
        return body.text();
      }),
    );
    await dispatcher.close();
    expect(answers).toEqual(Array.from({ length: 500 }, (_, index) => `/${index}`));
  });
});

function* repeat(block: Buffer, bytes: number): Generator<Buffer> {
  for (let sent = 0; sent < bytes; sent += block.length) yield block;
}

async function fullBacklog(address: string): Promise<{ readonly url: string; close(): Promise<void> }> {
  const child = spawn('python3', [
    '-c',
    [
      'import socket, time',
      's = socket.socket(); s.bind((' + JSON.stringify(address) + ', 0)); s.listen(0)',
      'held = []',
      'for _ in range(3):',
      '  c = socket.socket(); c.setblocking(False)',
      '  try: c.connect(s.getsockname())',
      '  except BlockingIOError: pass',
      '  held.append(c)',
      'print(s.getsockname()[1], flush=True)',
      'time.sleep(600)',
    ].join('\n'),
  ]);
  const [data] = (await once(child.stdout, 'data')) as [Buffer];
  await sleep(50);
  return {
    url: `http://${address}:${data.toString().trim()}`,
    close: async () => {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}
