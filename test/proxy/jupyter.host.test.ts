import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { startGate, type TestGate } from '../support/gate.js';
import { startProxy, type TestProxy } from '../support/proxy.js';

const token = 'the-jupyter-token';
const target = 'http://127.26.2.20:8888';
let dir: string;
let jupyter: ChildProcess;
let proxy: TestProxy;
let gate: TestGate;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'perijove-jupyter-'));
  const { hostname, port } = new URL(target);
  jupyter = spawn(
    'jupyter-lab',
    [
      '--no-browser',
      '--allow-root',
      `--ServerApp.ip=${hostname}`,
      `--ServerApp.port=${port}`,
      '--ServerApp.port_retries=0',
      `--IdentityProvider.token=${token}`,
      '--ServerApp.allow_remote_access=True',
      `--ServerApp.root_dir=${dir}`,
    ],
    { env: { ...process.env, HOME: dir, JUPYTER_RUNTIME_DIR: path.join(dir, 'runtime') }, stdio: 'ignore' },
  );
  proxy = await startProxy({ address: '127.26.1.5' });
  gate = await startGate({ address: '127.26.2.21', node: 'node0', answer: new URL(target) });
  await proxy.client.setRoute({
    generation: 1,
    term: 1,
    node: 'node0',
    nodes: [gate.node],
    reflexes: true,
    drainMs: 30_000,
  });
  await vi.waitFor(async () => expect((await proxy.client.health()).answering).toBe(true), 60_000);
});
afterAll(async () => {
  await proxy?.remove();
  await gate?.close();
  if (jupyter && jupyter.exitCode === null && jupyter.signalCode === null) {
    jupyter.kill('SIGTERM');
    const forced = setTimeout(() => jupyter.kill('SIGKILL'), 10_000);
    await once(jupyter, 'exit');
    clearTimeout(forced);
  }
  if (dir) await rm(dir, { recursive: true, force: true });
});

async function json(method: 'GET' | 'POST' | 'PUT' | 'DELETE', at: string, body?: unknown): Promise<unknown> {
  const answer = await request(`${proxy.url}${at}`, {
    method,
    headers: {
      authorization: `token ${token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await answer.body.text();
  expect(answer.statusCode, text).toBeLessThan(300);
  return text === '' ? undefined : JSON.parse(text);
}

test('real JupyterLab: its page, a notebook, a running kernel', async () => {
  const page = await request(`${proxy.url}/lab?token=${token}`, { headers: { accept: 'text/html' } });
  expect(page.statusCode).toBe(200);
  expect(await page.body.text()).toContain('<title>JupyterLab</title>');
  expect(page.headers['set-cookie']).toBeDefined();

  await json('PUT', '/api/contents/a.txt', { type: 'file', format: 'text', content: 'x'.repeat(5_000_000) });
  expect(await json('GET', '/api/contents/a.txt')).toMatchObject({ size: 5_000_000 });

  const { id } = (await json('POST', '/api/kernels', { name: 'python3' })) as { id: string };
  const session = randomUUID();
  // As in a browser: Jupyter rejects the websocket if Origin and Host differ.
  const socket = new WebSocket(
    `${proxy.url.replace('http', 'ws')}/api/kernels/${id}/channels?session_id=${session}&token=${token}`,
    { headers: { origin: proxy.url } },
  );
  await once(socket, 'open');
  const said = new Promise<string>((resolve) => {
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as { msg_type: string; content: { text?: string } };
      if (message.msg_type === 'stream') resolve(message.content.text ?? '');
    });
  });
  socket.send(
    JSON.stringify({
      channel: 'shell',
      header: {
        msg_id: randomUUID(),
        msg_type: 'execute_request',
        session,
        username: '',
        version: '5.3',
        date: '',
      },
      parent_header: {},
      metadata: {},
      content: {
        code: 'print(6 * 7)',
        silent: false,
        store_history: true,
        user_expressions: {},
        allow_stdin: false,
      },
      buffers: [],
    }),
  );
  expect(await said).toBe('42\n');
  const closed = once(socket, 'close');
  await json('DELETE', `/api/kernels/${id}`);
  socket.close();
  await closed;
});

test('Jupyter rejects a websocket from a foreign page, also through the proxy', async () => {
  const { id } = (await json('POST', '/api/kernels', { name: 'python3' })) as { id: string };
  const cookie = await request(`${proxy.url}/lab?token=${token}`);
  await cookie.body.dump();
  const cookies = [cookie.headers['set-cookie'] ?? []].flat().map((each) => each.split(';')[0] ?? '');
  const open = (origin: string) =>
    new WebSocket(`${proxy.url.replace('http', 'ws')}/api/kernels/${id}/channels`, {
      headers: { origin, cookie: cookies.join('; ') },
    });
  const foreign = open('http://evil.example');
  const [, answer] = (await once(foreign, 'unexpected-response')) as [unknown, IncomingMessage];
  expect(answer.statusCode).toBe(403);
  answer.destroy();
  const own = open(proxy.url);
  await once(own, 'open');
  own.terminate();
  await json('DELETE', `/api/kernels/${id}`);
});
