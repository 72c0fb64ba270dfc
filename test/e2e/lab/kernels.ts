import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { beforeAll, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { signal } from '../../../src/lab/processes.js';
import { runInKernel } from '../../support/kernel.js';
import type { TestLab } from '../../support/lab.js';

interface Session {
  readonly id: string;
  readonly path: string;
  readonly kernel: { readonly id: string };
}

/** A notebook whose loop is watched through one host, over one websocket. */
interface Loop {
  readonly session: Session;
  /** Where its kernel runs. */
  readonly node: string;
  readonly url: string;
  readonly lines: string[];
  readonly socket: WebSocket;
}

const steps = 250;
const expected = Array.from({ length: steps }, (_, step) => String(step));
const loop = `import time
for step in range(${steps}):
    print(step, flush=True)
    time.sleep(0.1)`;

/** The kernels of all nodes, through every host. */
export function kernelTests(lab: TestLab): void {
  let entrances: Awaited<ReturnType<TestLab['jupyter']>>;
  let token: string;
  const url = (index: number) => entrances[index % entrances.length]?.url ?? '';

  beforeAll(async () => {
    await lab.ready();
    entrances = await lab.jupyter();
    token = entrances[0]?.token ?? '';
  });

  async function api(at: string, path: string, method = 'GET', body?: unknown) {
    const answer = await fetch(`${at}${path}`, {
      method,
      headers: { authorization: `token ${token}` },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
  }

  async function open(path: string, at: string): Promise<Session> {
    const kernel = { name: 'python3' };
    const { status, body } = await api(at, '/api/sessions', 'POST', {
      path,
      name: path,
      type: 'notebook',
      kernel,
    });
    expect(status).toBe(201);
    return body as Session;
  }

  const list = async (at: string, what: string) =>
    (await api(at, `/api/${what}`)).body as { readonly id: string }[];

  async function nodeOf(at: string, { kernel }: Session): Promise<string> {
    const text = await runInKernel(at, token, kernel.id, 'import os; os.environ["NODE"]');
    return text.replaceAll("'", '');
  }

  /** The loop runs, and prints what is collected until the websocket ends. */
  async function watch(index: number): Promise<Loop> {
    const session = await open(`loop-${index}.ipynb`, url(index));
    // Another host than the one that it was opened through.
    const at = url(index + 1);
    const node = await nodeOf(at, session);
    await runInKernel(at, token, session.kernel.id, `x = ${index}`);
    const id = randomUUID();
    const socket = new WebSocket(
      `${at.replace('http', 'ws')}/api/kernels/${session.kernel.id}/channels?session_id=${id}`,
      { headers: { authorization: `token ${token}` } },
    );
    socket.on('error', () => undefined);
    await once(socket, 'open');
    const lines: string[] = [];
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as { msg_type: string; content: { text?: string } };
      if (message.msg_type === 'stream')
        lines.push(...(message.content.text ?? '').split('\n').filter(Boolean));
    });
    const header = {
      msg_id: randomUUID(),
      username: '',
      session: id,
      msg_type: 'execute_request',
      version: '5.3',
    };
    const content = {
      code: loop,
      silent: false,
      store_history: false,
      user_expressions: {},
      allow_stdin: false,
    };
    socket.send(
      JSON.stringify({ header, parent_header: {}, metadata: {}, channel: 'shell', content, buffers: [] }),
    );
    await vi.waitFor(() => expect(lines.length).toBeGreaterThan(0), 30_000);
    return { session, node, url: at, lines, socket };
  }

  it('are one list through every host, spread over the nodes that do not serve, and one for each notebook', async () => {
    // A node whose Jupyter still starts has no room, and one with a kernel is chosen later.
    const { jupyter } = await lab.eventually((status) => {
      expect(status.phase).toBe('ready');
      for (const each of status.jupyter.nodes) expect(each).toMatchObject({ state: 'ready', kernels: 0 });
    });
    const sessions = await Promise.all([0, 1, 2, 3].map((index) => open(`list-${index}.ipynb`, url(index))));
    const nodes = await Promise.all(sessions.map((session, index) => nodeOf(url(index + 2), session)));
    expect(new Set(nodes).size).toBe(4);
    expect(nodes).not.toContain(jupyter.node);
    for (const { url: at } of entrances) {
      const kernels = (await list(at, 'kernels')).map(({ id }) => id);
      expect(kernels).toEqual(expect.arrayContaining(sessions.map(({ kernel }) => kernel.id)));
      expect(new Set(kernels).size).toBe(kernels.length);
      const ids = (await list(at, 'sessions')).map(({ id }) => id);
      expect(ids).toEqual(expect.arrayContaining(sessions.map(({ id }) => id)));
    }
    await lab.eventually(({ jupyter: { nodes: all } }) => {
      for (const { node, kernels } of all) expect(kernels).toBe(nodes.includes(node) ? 1 : 0);
    });
    const named = await lab.json<{ readonly kernels: readonly object[] }>('kernels', 'list');
    for (const [index, { kernel, path }] of sessions.entries()) {
      expect(named.kernels).toContainEqual(
        expect.objectContaining({ id: kernel.id, path, node: nodes[index] }),
      );
    }
    const twice = await Promise.all([0, 1, 2].map((index) => open('twice.ipynb', url(index))));
    expect(new Set(twice.map(({ id }) => id)).size).toBe(1);
    expect((await open('list-2.ipynb', url(0))).id).toBe(sessions[2]?.id);
    for (const [index, { id }] of [...sessions, ...twice.slice(0, 1)].entries()) {
      expect((await api(url(index), `/api/sessions/${id}`, 'DELETE')).status).toBe(204);
    }
    await vi.waitFor(async () => expect(await list(url(1), 'sessions')).toEqual([]), 10_000);
    await open('stopped.ipynb', url(0));
    await lab.run('kernels', 'stop', 'stopped.ipynb', '--file', lab.specFile);
    expect(await list(url(2), 'sessions')).toEqual([]);
  });

  it('do not exist where no node has them, and are nobody’s without a token', async () => {
    const unknown = `/api/kernels/${randomUUID()}`;
    for (const { url: at } of entrances) {
      expect((await api(at, unknown)).status).toBe(404);
      for (const path of ['/api/kernels', '/api/sessions', '/api/terminals', unknown]) {
        expect((await fetch(`${at}${path}`)).status).toBe(403);
      }
      expect((await fetch(`${at}/api/sessions`, { method: 'POST', body: '{"path":"a"}' })).status).toBe(403);
    }
  });

  it('have terminals beside them that every host names alike', async () => {
    const { jupyter } = await lab.ready();
    const { body } = await api(url(0), '/api/terminals', 'POST');
    const { name } = body as { readonly name: string };
    expect(name).toBe(`${jupyter.node}_1`);
    for (const { url: at } of entrances) {
      expect((await api(at, '/api/terminals')).body).toMatchObject([{ name }]);
    }
    expect((await api(url(1), `/api/terminals/${name}`, 'DELETE')).status).toBe(204);
    expect((await api(url(2), '/api/terminals')).body).toEqual([]);
  });

  it('go on with their websockets through a move and the death of the leader’s node; those of that node are gone', async () => {
    const loops = await Promise.all(Array.from({ length: 8 }, (_, index) => watch(index)));
    const before = await lab.ready();
    const to = loops.find(({ node }) => node !== before.jupyter.node)?.node ?? '';
    await lab.run('move', to, '--file', lab.specFile);
    expect(loops.filter(({ socket }) => socket.readyState !== WebSocket.OPEN)).toEqual([]);
    const dead = loops.filter(({ node }) => node === to);
    const alive = loops.filter(({ node }) => node !== to);
    expect(dead).not.toEqual([]);
    for (const process of lab.nodeProcesses(to)) signal(process, 'SIGKILL');
    await vi.waitFor(
      async () => {
        for (const { session, url: at } of dead) {
          expect((await api(at, `/api/kernels/${session.kernel.id}`)).status).toBe(404);
        }
      },
      { timeout: 60_000 },
    );
    await vi.waitFor(() => expect(alive.map(({ lines }) => lines)).toEqual(alive.map(() => expected)), {
      timeout: 60_000,
    });
    await lab.eventually(({ phase, incidents }) => {
      expect(phase).toBe('ready');
      const loss = incidents.find(({ what }) => what.startsWith(`${to} ended, and with it`));
      for (const { session } of dead) expect(loss?.what).toContain(session.path);
    });
    for (const [index, { session, url: at, socket, node }] of loops.entries()) {
      const lost = node === to;
      expect(socket.readyState === WebSocket.OPEN).toBe(!lost);
      if (!lost) expect(await runInKernel(at, token, session.kernel.id, 'x')).toBe(String(index));
      socket.terminate();
    }
    const left = await list(url(0), 'sessions');
    expect(left.map(({ id }) => id).sort()).toEqual(alive.map(({ session }) => session.id).sort());
    for (const { id } of left) await api(url(2), `/api/sessions/${id}`, 'DELETE');
  });
}
