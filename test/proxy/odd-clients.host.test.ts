/** Odd requests through the real proxy and the real gate get what Jupyter itself answers, and disturb nobody. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { gatePath, type GateStatus } from '../../src/node/api.js';
import { Gate } from '../../src/node/runtime/gate.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { writable } from '../support/writable.js';

const status: GateStatus = { node: 'node0', open: true, closing: false, term: 1, generation: 1 };
const token = 'the-jupyter-token';
const gateAt = { host: '127.26.3.20', port: 8888 };
/** Jupyter's own is 512 MB. */
const maxBodyBytes = Number(process.env['PERIJOVE_TEST_MAX_BODY_BYTES'] ?? 4_000_000);
let dir: string;
let jupyter: ChildProcess;
let gate: Gate;
let proxy: TestProxy;
let places: Readonly<Record<'jupyter' | 'proxy', NetConnectOpts>>;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'perijove-clients-'));
  const socket = path.join(dir, 'jupyter.sock');
  jupyter = spawn(
    'jupyter-lab',
    [
      '--no-browser',
      '--allow-root',
      `--ServerApp.sock=${socket}`,
      `--ServerApp.max_body_size=${maxBodyBytes}`,
      `--IdentityProvider.token=${token}`,
      '--ServerApp.allow_remote_access=True',
      `--ServerApp.root_dir=${dir}`,
    ],
    { env: { ...process.env, HOME: dir, JUPYTER_RUNTIME_DIR: path.join(dir, 'runtime') }, stdio: 'ignore' },
  );
  gate = new Gate({
    address: gateAt.host,
    port: gateAt.port,
    socket,
    admits: () => true,
    status: () => status,
    onListening: () => undefined,
    holderOf: () => '',
    logger: pino({ enabled: false }),
  });
  gate.open();
  proxy = await startProxy({ address: '127.26.3.5' });
  await proxy.client.setRoute({
    generation: 1,
    term: 1,
    node: 'node0',
    nodes: [{ name: 'node0', ways: [`http://${gateAt.host}:${gateAt.port}`] }],
    reflexes: true,
    drainMs: 30_000,
  });
  const { hostname: host, port } = new URL(proxy.url);
  places = { jupyter: { path: socket }, proxy: { host, port: Number(port) } };
  await vi.waitFor(async () => expect((await proxy.client.health()).answering).toBe(true), 60_000);
});
afterAll(async () => {
  await proxy?.remove();
  gate?.close();
  if (jupyter && jupyter.exitCode === null && jupyter.signalCode === null) {
    jupyter.kill('SIGTERM');
    const forced = setTimeout(() => jupyter.kill('SIGKILL'), 10_000);
    await once(jupyter, 'exit');
    clearTimeout(forced);
  }
  if (dir) await rm(dir, { recursive: true, force: true });
});

interface Answer {
  /** 0: closed without an answer. */
  readonly status: number;
  readonly body: string;
}

/** Undefined while a part of it is missing. */
function answerOf(said: string, ended: boolean): Answer | undefined {
  const end = said.indexOf('\r\n\r\n');
  if (end === -1) return ended ? { status: 0, body: '' } : undefined;
  const head = said.slice(0, end);
  const body = said.slice(end + 4);
  const status = Number(head.split(' ')[1]);
  const length = /^content-length: *(\d+)/im.exec(head)?.[1];
  if (/^transfer-encoding: *chunked/im.test(head)) {
    if (!body.endsWith('0\r\n\r\n')) return undefined;
    return { status, body: body.replaceAll(/[0-9a-f]+\r\n([^]*?)\r\n/g, '$1').replace(/\r\n$/, '') };
  }
  return ended || (length !== undefined && body.length >= Number(length)) ? { status, body } : undefined;
}

/** Sends bytes as they are, as far as they are taken, and reads the one answer. */
async function exchange(place: NetConnectOpts, head: string, body: Iterable<Buffer> = []): Promise<Answer> {
  const socket: Socket = connect(place);
  try {
    return await new Promise<Answer>((resolve) => {
      let said = '';
      const look = (ended: boolean): void => {
        const answer = answerOf(said, ended);
        if (answer !== undefined) resolve(answer);
      };
      socket.on('data', (chunk) => {
        said += chunk.toString('latin1');
        look(false);
      });
      socket.on('error', () => look(true));
      socket.on('close', () => look(true));
      socket.write(head, 'latin1');
      void (async () => {
        for (const chunk of body) {
          if (socket.destroyed) return;
          if (!socket.write(chunk)) await writable(socket);
        }
      })().catch(() => undefined);
    });
  } finally {
    socket.destroy();
  }
}

/** A second client asks each 50 ms, over new and over kept connections. */
async function undisturbed<T>(work: () => Promise<T>): Promise<T> {
  const kept = new Agent();
  const answers: unknown[] = [];
  let done = false;
  const asking = (async () => {
    for (let round = 0; !done; round += 1) {
      const fresh = round % 2 === 0;
      const answer = await request(`${proxy.url}/api/status?token=${token}`, {
        dispatcher: kept,
        ...(fresh && { headers: { connection: 'close' } }),
      }).then(
        async ({ statusCode, body }) => {
          await body.dump();
          return statusCode;
        },
        (error: unknown) => error,
      );
      answers.push(answer);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  try {
    const result = await work();
    return result;
  } finally {
    done = true;
    await asking;
    await kept.close();
    expect(answers.filter((answer) => answer !== 200)).toEqual([]);
  }
}

const lines = (...all: readonly string[]): string => `${all.join('\r\n')}\r\n\r\n`;
const authorization = `Authorization: token ${token}`;
/** A line that brings the head to a size. */
const filled = (bytes: number, ...head: readonly string[]): string => {
  const rest = lines(...head, 'X-Fill: ').length;
  return lines(...head, `X-Fill: ${'x'.repeat(bytes - rest)}`);
};
const file = JSON.stringify({ type: 'file', format: 'text', content: 'hello' });

const cases: readonly (readonly [string, string, number])[] = [
  [
    'an upgrade to HTTP/2, as curl and Java ask for',
    lines(
      'GET /api HTTP/1.1',
      'Host: a',
      authorization,
      'Connection: Upgrade, HTTP2-Settings',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA',
    ),
    200,
  ],
  [
    'an upgrade to TLS',
    lines('GET /api HTTP/1.1', 'Host: a', authorization, 'Connection: upgrade', 'Upgrade: TLS/1.2'),
    200,
  ],
  [
    'an upgrade with a body',
    `${lines(
      'PUT /api/contents/upgraded-PLACE.txt HTTP/1.1',
      'Host: a',
      authorization,
      'Connection: Upgrade, HTTP2-Settings',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA',
      'Content-Type: application/json',
      `Content-Length: ${file.length}`,
    )}${file}`,
    201,
  ],
  [
    'a websocket where there is none',
    lines(
      'GET /api HTTP/1.1',
      'Host: a',
      authorization,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    ),
    200,
  ],
  ['65,450 bytes of headers', filled(65_450, 'GET /api HTTP/1.1', 'Host: a', authorization), 200],
  [
    '65,450 bytes of headers on the way to a websocket',
    filled(
      65_450,
      'GET /api/kernels/none/channels HTTP/1.1',
      'Host: a',
      authorization,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    ),
    404,
  ],
  ['two Host headers', lines('GET /api HTTP/1.1', 'Host: a', 'Host: b', authorization), 400],
  [
    'two Host headers on the way to a websocket',
    lines(
      'GET /api/kernels/none/channels HTTP/1.1',
      'Host: a',
      'Host: b',
      authorization,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    ),
    400,
  ],
  [
    'more than 1,000 header lines',
    lines(
      'GET /api/status HTTP/1.1',
      'Host: a',
      ...Array.from({ length: 2_500 }, (_, index) => `X-${index}: ${index}`),
      authorization,
    ),
    200,
  ],
  [
    'a header line twice',
    lines(
      'GET /api/status HTTP/1.1',
      'Host: a',
      `Cookie: a=b`,
      authorization,
      'Cookie: c=d',
      'Referer: x',
      'Referer: y',
    ),
    200,
  ],
];

describe('through the proxy as straight to Jupyter', () => {
  it.each(cases)('%s', async (_title, head, status) => {
    const [straight, through] = await undisturbed(async () => [
      await exchange(places.jupyter, head.replace('PLACE', 'a')),
      await exchange(places.proxy, head.replace('PLACE', 'b')),
    ]);
    expect(straight?.status).toBe(status);
    expect(through?.status).toBe(status);
    if (status === 200 && head.startsWith('GET /api HTTP')) {
      expect(through?.body).toBe(straight?.body);
    }
  });

  it.each([
    ['with its length', `Content-Length: ${15 * maxBodyBytes}`, false],
    ['in chunks', 'Transfer-Encoding: chunked', true],
  ])('a body that is too large, %s', async (_title, framing, chunked) => {
    function* body(): Generator<Buffer> {
      const piece = Buffer.alloc(64 * 1024, 'x');
      for (let sent = 0; sent < 15 * maxBodyBytes; sent += piece.length) {
        if (chunked) yield Buffer.from(`${piece.length.toString(16)}\r\n`);
        yield piece;
        if (chunked) yield Buffer.from('\r\n');
      }
    }
    const head = lines(
      'PUT /api/contents/large.txt HTTP/1.1',
      ...['Host: a', authorization, 'Content-Type: application/json', framing],
    );
    for (let round = 0; round < 5; round += 1) {
      const through = await undisturbed(() => exchange(places.proxy, head, body()));
      expect(through.status).toBe(400);
    }
  });

  it('more headers than Jupyter takes, which closes the connection without an answer', async () => {
    const head = filled(65_530, 'GET /api HTTP/1.1', 'Host: a', authorization, 'Accept: */*');
    expect((await exchange(places.jupyter, `${head.slice(0, -4)}xxxxxxxxxx\r\n\r\n`)).status).toBe(0);
    const statuses = await undisturbed(() =>
      Promise.all(Array.from({ length: 20 }, async () => (await exchange(places.proxy, head)).status)),
    );
    expect(new Set(statuses)).toEqual(new Set([502]));
  });
});

describe('a request that Jupyter closes the connection on', () => {
  it('holds up no other one, whatever the gate takes to answer', async () => {
    let held: (() => void)[] | undefined;
    const behind = createServer((asked, response) => {
      const answer = (): void => void response.end(asked.url === gatePath ? JSON.stringify(status) : 'fine');
      if (asked.url === '/odd') asked.socket.destroy();
      else if (asked.url === gatePath && held !== undefined) held.push(answer);
      else answer();
    }).listen(8888, '127.26.3.21');
    await once(behind, 'listening');
    const other = await startProxy({ address: '127.26.3.6' });
    try {
      await other.client.setRoute({
        ...{ generation: 1, term: 1, node: 'node0', reflexes: true, drainMs: 30_000 },
        nodes: [{ name: 'node0', ways: ['http://127.26.3.21:8888'] }],
      });
      const ask = async (at: string, method: 'GET' | 'POST' = 'GET'): Promise<number> => {
        const answer = await request(`${other.url}${at}`, {
          method,
          ...(method === 'POST' && { body: 'a' }),
        });
        await answer.body.dump();
        return answer.statusCode;
      };
      expect(await ask('/')).toBe(200);
      for (const method of ['GET', 'POST'] as const) {
        held = [];
        const odd = ask('/odd', method);
        await vi.waitFor(() => expect(held).not.toEqual([]));
        expect(await Promise.all([ask('/'), ask('/', 'POST'), ask('/')])).toEqual([200, 200, 200]);
        const waiting = held;
        held = undefined;
        for (const answer of waiting) answer();
        expect(await odd).toBe(502);
      }
    } finally {
      await other.remove();
      behind.closeAllConnections();
      behind.close();
    }
  });
});
