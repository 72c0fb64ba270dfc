import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { messageOf } from '../../src/errors/error.js';
import { CellRun, type CellEnd } from '../../src/jupyter/cell.js';
import { userOomScore } from '../../src/node/layout.js';
import { commandSupervisor } from '../../src/node/runtime/runit.js';
import { eventually } from '../support/eventually.js';
import { runInKernel, startKernel } from '../support/kernel.js';
import { killIfThere, prepareNodes, type TestNode, type TestNodes } from '../support/nodes.js';

interface KernelModel {
  readonly id: string;
  readonly name: string;
  readonly execution_state: string;
}
interface SessionModel {
  readonly id: string;
  readonly path: string;
  readonly name: string;
  readonly type: string;
  readonly kernel: KernelModel;
}

let cluster: TestNodes;
let node: TestNode;
let base: string;
let token: string;
let generation = 0;

const waitMs = 60_000;
const rootsUser = process.getuid?.() === 0 ? { user: { uid: 60_807, gid: 60_807 } } : {};

beforeAll(async () => {
  cluster = await prepareNodes({ count: 1, firstAddress: '127.25.7.10', ...rootsUser });
  [node] = cluster.nodes as [TestNode];
  base = `http://${node.address}:${cluster.spec.jupyter.port}`;
  token = cluster.jupyterToken;
  node.start();
  await eventually(async () => (await node.control.status()).node === 'node0');
  await order(true);
}, 120_000);
afterAll(() => cluster.remove());

const order = (serve: boolean) =>
  node.control.orderJupyter({ generation: (generation += 1), term: 1, serve }, { waitMs });

async function ask<T>(method: string, path: string, body?: object): Promise<T> {
  const answer = await fetch(`${base}${path}`, {
    method,
    headers: { authorization: `token ${token}` },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}`);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}
const kernels = () => ask<KernelModel[]>('GET', '/api/kernels');
const sessions = () => ask<SessionModel[]>('GET', '/api/sessions');
const openNotebook = (name: string) =>
  ask<SessionModel>('POST', '/api/sessions', {
    path: name,
    name,
    type: 'notebook',
    kernel: { name: 'python3' },
  });
const run = (kernel: string, code: string) => runInKernel(base, token, kernel, code);
const pidOf = async (kernel: string) => Number(await run(kernel, '__import__("os").getpid()'));
const isIdle = (kernel: string) =>
  eventually(
    async () => (await kernels()).find(({ id }) => id === kernel)?.execution_state === 'idle',
    waitMs,
  );

/** Lets something happen before its successor runs. */
async function killJupyter(meanwhile: () => void = () => undefined): Promise<void> {
  const run = `${node.layout.service}/jupyter/run`;
  const pid = await node.mainProcess('jupyter');
  renameSync(run, `${run}.held`);
  killIfThere(pid);
  await eventually(() => !existsSync(`/proc/${pid}`), waitMs);
  meanwhile();
  renameSync(`${run}.held`, run);
  await eventually(async () => (await node.control.status()).jupyter.state === 'starting', waitMs);
  await eventually(async () => (await node.control.status()).jupyter.state === 'ready', waitMs);
}

/** As libraries do that set the title of a process. */
const overwriteEnvironment = `import ctypes
fields = open("/proc/self/stat").read().rpartition(")")[2].split()
start, end = int(fields[47]), int(fields[48])
ctypes.memset(start, 0, end - start)
len(open("/proc/self/environ").read().strip("\\0"))`;

/** As a page does: it comes back under the same name. */
class Page {
  readonly received: string[] = [];
  readonly #name = 'page-of-test';
  #socket: WebSocket | undefined;
  #cell: CellRun | undefined;
  end: CellEnd | undefined;
  /** The header of the last request for input. */
  asked: object | undefined;

  async connect(kernel: string): Promise<void> {
    const url = `${base.replace('http', 'ws')}/api/kernels/${kernel}/channels?session_id=${this.#name}`;
    const socket = new WebSocket(url, { headers: { authorization: `token ${token}` } });
    socket.on('error', () => undefined);
    socket.on('message', (data) => {
      const text = (data as Buffer).toString();
      const message = JSON.parse(text) as { header: { msg_type: string }; content: { text?: string } };
      if (message.header.msg_type === 'stream') this.received.push(message.content.text ?? '');
      if (message.header.msg_type === 'input_request') this.asked = message.header;
      this.end ??= this.#cell?.take(text);
    });
    this.#socket = socket;
    await once(socket, 'open');
  }

  run(code: string): void {
    this.end = undefined;
    this.#cell = new CellRun(code, this.#name);
    const request = this.#cell.request as { readonly content: object };
    const content = { ...request.content, allow_stdin: true };
    this.#socket?.send(JSON.stringify({ ...request, content }));
  }

  /** Answers what a cell has asked for. */
  reply(value: string): void {
    const header = {
      msg_id: 'reply',
      msg_type: 'input_reply',
      session: this.#name,
      username: '',
      version: '5.3',
    };
    this.#socket?.send(
      JSON.stringify({
        channel: 'stdin',
        header: { ...header, date: new Date().toISOString() },
        parent_header: this.asked,
        metadata: {},
        content: { value, status: 'ok' },
        buffers: [],
      }),
    );
  }

  close(): void {
    this.#socket?.terminate();
  }
}

it('answers all who come while it is busy for a moment', async () => {
  const pid = await node.mainProcess('jupyter');
  const people = 600;
  const atItsDoor = () =>
    readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .filter((line) => line.endsWith(node.layout.jupyterSocket)).length;
  killIfThere(pid, 'SIGSTOP');
  const asked = Array.from({ length: people }, () =>
    ask('GET', '/api').then(
      () => 'answered',
      (error: unknown) => messageOf(error),
    ),
  );
  try {
    await eventually(() => atItsDoor() >= people, 5_000);
  } finally {
    killIfThere(pid, 'SIGCONT');
  }
  expect(new Set(await Promise.all(asked))).toEqual(new Set(['answered']));
});

it('answers for its status and its lists while kernels start', async () => {
  const refused: string[] = [];
  const started: Promise<SessionModel[]> = Promise.all(
    Array.from({ length: 8 }, (_, index) => openNotebook(`start-${index}.ipynb`)),
  );
  let starting = true;
  void started.finally(() => (starting = false));
  const people = Array.from({ length: 300 }, async (_, index) => {
    const path = ['/api/status', '/api/kernels', '/api/sessions'][index % 3] ?? '';
    while (starting) {
      await ask('GET', path).catch((error: unknown) => refused.push(messageOf(error)));
    }
  });
  await Promise.all(people);
  for (const { id } of await started) await ask('DELETE', `/api/sessions/${id}`);
  expect(refused).toEqual([]);
});

describe('a Jupyter that is killed', () => {
  let session: SessionModel;
  let kernel: string;

  beforeAll(async () => {
    session = await openNotebook('a.ipynb');
    kernel = session.kernel.id;
    await run(kernel, 'variable = 41');
  });

  it('runs kernels that end before it does where memory runs out, also restarted ones', async () => {
    const scoreOf = (pid: number) => Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'));
    expect(scoreOf(await pidOf(kernel))).toBe(userOomScore);
    const other = await startKernel(base, token);
    const before = await pidOf(other);
    await ask('POST', `/api/kernels/${other}/restart`);
    const after = await pidOf(other);
    expect([after === before, scoreOf(after)]).toEqual([false, userOomScore]);
    await ask('DELETE', `/api/kernels/${other}`);
    for (const service of ['jupyter', 'etcd', 'sshd'] as const) {
      expect(scoreOf(await node.mainProcess(service))).toBe(scoreOf(process.pid));
    }
  });

  it('leaves its kernels and sessions to its successor', async () => {
    const pid = await pidOf(kernel);
    await killJupyter();
    expect(await sessions()).toMatchObject([
      {
        id: session.id,
        path: 'a.ipynb',
        name: 'a.ipynb',
        type: 'notebook',
        kernel: { id: kernel, name: 'python3' },
      },
    ]);
    expect((await kernels()).map(({ id }) => id)).toEqual([kernel]);
    expect(await run(kernel, 'variable + 1')).toBe('42');
    expect(await pidOf(kernel)).toBe(pid);
    await isIdle(kernel);
  });

  it('leaves it the session that was renamed, and the one that was created since', async () => {
    await ask('PATCH', `/api/sessions/${session.id}`, { path: 'dir/b.ipynb', name: 'b.ipynb' });
    const second = await ask<SessionModel>('POST', '/api/sessions', {
      path: 'console',
      name: 'console',
      type: 'console',
      kernel: { id: kernel },
    });
    await killJupyter();
    expect(
      new Set((await sessions()).map(({ id, path, name, type }) => [id, path, name, type].join())),
    ).toEqual(
      new Set([`${session.id},dir/b.ipynb,b.ipynb,notebook`, `${second.id},console,console,console`]),
    );
  });

  it('lets running cells go on, and the page that comes back gets what the successor heard, and the result', async () => {
    const page = new Page();
    await page.connect(kernel);
    page.run(
      'import os, time\nwhile not os.path.exists("go"):\n  print("tick", flush=True)\n  time.sleep(.05)\nprint("done", flush=True)\nvariable',
    );
    await eventually(() => page.received.length > 3);
    await killJupyter();
    expect(await kernels()).toMatchObject([{ id: kernel, execution_state: 'busy' }]);
    const before = page.received.length;
    await page.connect(kernel);
    await eventually(() => page.received.length > before + 3);
    writeFileSync(`${cluster.dir}/shared/notebooks/go`, '');
    await eventually(() => page.end !== undefined);
    expect(page.end).toEqual({ ok: true, result: '41' });
    expect(page.received.join('')).toMatch(/done\n$/);
    page.close();
    await isIdle(kernel);
  });

  it('is asked for much while nobody is connected: the page gets the beginning, is told, and gets the result', async () => {
    const page = new Page();
    await page.connect(kernel);
    page.run(
      'import os, time\nwhile not os.path.exists("flood"):\n  time.sleep(.05)\nfor n in range(400):\n  print(n, "x" * 50_000, flush=True)\n"flooded"',
    );
    await eventually(async () => (await kernels())[0]?.execution_state === 'busy');
    page.close();
    writeFileSync(`${cluster.dir}/shared/notebooks/flood`, '');
    await isIdle(kernel);
    await page.connect(kernel);
    await eventually(() => page.end !== undefined);
    const text = page.received.join('');
    expect(page.end).toEqual({ ok: true, result: "'flooded'" });
    expect(text.length).toBeGreaterThan(1_000_000);
    expect(text.length).toBeLessThan(2_200_000);
    expect(text.match(/^\d+(?= )/gm)).toEqual(Array.from({ length: 41 }, (_, n) => String(n)));
    expect(text).toMatch(/\nOutput is missing here: [^\n]*\n$/);
    page.close();
  });

  it('keeps the answer for a page that comes back after the cell has ended', async () => {
    const page = new Page();
    await page.connect(kernel);
    page.run('import os, time\nwhile not os.path.exists("on"):\n  time.sleep(.05)\nprint("late")\n"kept"');
    await eventually(async () => (await kernels())[0]?.execution_state === 'busy');
    await killJupyter();
    writeFileSync(`${cluster.dir}/shared/notebooks/on`, '');
    await isIdle(kernel);
    await page.connect(kernel);
    await eventually(() => page.end !== undefined);
    expect([page.end, page.received.join('')]).toEqual([{ ok: true, result: "'kept'" }, 'late\n']);
    page.close();
  });

  it('leaves a cell that waits for input', async () => {
    const page = new Page();
    await page.connect(kernel);
    page.run('input("?")');
    await eventually(() => page.asked !== undefined);
    await killJupyter();
    await page.connect(kernel);
    page.reply('an answer');
    await eventually(() => page.end !== undefined);
    expect(page.end).toEqual({ ok: true, result: "'an answer'" });
    page.close();
  });

  it('has a successor that interrupts and restarts them', async () => {
    const page = new Page();
    await page.connect(kernel);
    page.run('import time\ntime.sleep(600)');
    await eventually(async () => (await kernels())[0]?.execution_state === 'busy');
    await killJupyter();
    await page.connect(kernel);
    await ask('POST', `/api/kernels/${kernel}/interrupt`);
    await eventually(() => page.end !== undefined);
    expect(page.end).toEqual({ ok: false, lastLine: 'KeyboardInterrupt:' });
    page.close();
    const pid = await pidOf(kernel);
    await ask('POST', `/api/kernels/${kernel}/restart`);
    expect(await run(kernel, '"variable" in globals()')).toBe('False');
    expect(await pidOf(kernel)).not.toBe(pid);
    expect(await run(kernel, '__import__("os").environ["JPY_SESSION_NAME"]')).toMatch(/b\.ipynb'$/);
    // The restarted one is kept as well.
    await run(kernel, 'variable = 7');
    await killJupyter();
    expect(await run(kernel, 'variable')).toBe('7');
  });

  it('has a successor that restarts one that dies, with what it had started', async () => {
    await run(kernel, 'import subprocess; child = subprocess.Popen(["sleep", "600"])');
    const pid = await pidOf(kernel);
    const child = Number(await run(kernel, 'child.pid'));
    await killJupyter();
    killIfThere(pid);
    await eventually(async () => (await pidOf(kernel)) !== pid, waitMs);
    await eventually(async () => !(await node.processes('kernels')).includes(child));
    expect((await sessions()).map(({ kernel: { id } }) => id)).toContain(kernel);
  });

  it('has a successor that shuts them down, and forgets them', async () => {
    await killJupyter();
    await ask('DELETE', `/api/sessions/${session.id}`);
    expect(await sessions()).toEqual([]);
    expect(await kernels()).toEqual([]);
    await eventually(async () => (await node.processes('kernels')).length === 0);
    await killJupyter();
    expect([await kernels(), await sessions()]).toEqual([[], []]);
    expect(readdirSync(`${node.layout.jupyterRun}/kernels`)).toEqual(['lock']);
    expect(readdirSync(node.layout.jupyterRun).filter((name) => name.startsWith('kernel-'))).toEqual([]);
  });
});

describe('a kernel that cannot be taken up', () => {
  const record = (kernel: string) => `${node.layout.jupyterRun}/kernels/${kernel}.json`;

  it('is not listed when it has died meanwhile', async () => {
    const { id, kernel } = await openNotebook('c.ipynb');
    const other = await openNotebook('d.ipynb');
    const pid = await pidOf(kernel.id);
    await killJupyter(() => killIfThere(pid));
    expect((await sessions()).map((each) => each.id)).toEqual([other.id]);
    expect((await kernels()).map((each) => each.id)).toEqual([other.kernel.id]);
    expect(existsSync(record(kernel.id))).toBe(false);
    expect((await openNotebook('c.ipynb')).id).not.toBe(id);
  });

  it.each<[what: string, change: (text: string) => string]>([
    ['unreadable', () => '{garbage'],
    ['of another boot', (text) => text.replace(/"boot": "[^"]+"/, '"boot": "another"')],
    ['of another node', (text) => text.replace(/:kernels"/, '2:kernels"')],
    ['of another process', (text) => text.replace(/"started": \d+/, '"started": 1')],
    [
      'without a connection',
      (text) => text.replace(/"connection_file": "[^"]+"/, '"connection_file": "/none"'),
    ],
    ['of an unknown kind', (text) => text.replace('"python3"', '"none"')],
    ['of nobody', (text) => text.replace(/"sessions": \[.*\], "client"/, '"sessions": null, "client"')],
  ])('because its record is %s ends, and the others stay', async (_, change) => {
    const broken = await startKernel(base, token);
    const [pid, otherPid] = [await pidOf(broken), await pidOf((await kernels())[0]?.id ?? '')];
    const before = (await kernels()).map(({ id }) => id).filter((id) => id !== broken);
    await killJupyter(() => {
      const text = readFileSync(record(broken), 'utf8');
      const changed = change(text);
      if (changed === text) throw new Error(`nothing to change in ${text}`);
      writeFileSync(record(broken), changed);
    });
    expect((await kernels()).map(({ id }) => id).sort()).toEqual(before.sort());
    await eventually(async () => !(await node.processes('kernels')).includes(pid));
    expect(await node.processes('kernels')).toContain(otherPid);
    expect(existsSync(record(broken))).toBe(false);
  });
});

describe('a restart by the supervisor', () => {
  it('keeps kernels', async () => {
    const { id, kernel } = await openNotebook('e.ipynb');
    await run(kernel.id, 'variable = 5');
    const pid = await node.mainProcess('jupyter');
    await commandSupervisor(`${node.layout.service}/jupyter`, 't');
    await eventually(async () => (await node.mainProcess('jupyter')) !== pid, waitMs);
    await eventually(async () => (await sessions()).some((each) => each.id === id), waitMs);
    expect(await run(kernel.id, 'variable')).toBe('5');
  });
});

describe('a server that a user starts beside it', () => {
  it('takes up nothing, and ends nothing', async () => {
    const { id, kernel } = await openNotebook('f.ipynb');
    const before = (await kernels()).length;
    const options = '--ServerApp.port=28899 --ServerApp.ip=127.25.7.10 --ServerApp.sock=';
    const command = `${cluster.spec.jupyter.executable} --config=${node.layout.jupyterConfig} ${options}`;
    const code = `import os, subprocess
env = {name: value for name, value in os.environ.items() if name != "PERIJOVE_NODE_KERNEL"}
server = subprocess.Popen(${JSON.stringify(command)}.split(" "), env=env, stderr=subprocess.PIPE, text=True)
said = ""
for line in server.stderr:
    said += line
    if "is running at" in line:
        server.kill()
[server.wait(), "it does not have their records" in said]`;
    expect(await run(kernel.id, code)).toBe('[-9, True]');
    expect((await sessions()).map((each) => each.id)).toContain(id);
    expect(await kernels()).toHaveLength(before);
  });
});

describe('the end of all kernels', () => {
  it('is "Shut Down" in JupyterLab', async () => {
    const pid = await node.mainProcess('jupyter');
    expect(await kernels()).not.toEqual([]);
    await ask('POST', '/api/shutdown').catch(() => undefined);
    await eventually(async () => (await node.mainProcess('jupyter')) !== pid, waitMs);
    await eventually(async () => (await sessions()).length === 0 && (await kernels()).length === 0, waitMs);
    await startKernel(base, token);
  });

  it('is an ordered stop, also of kernels that were taken up', async () => {
    await killJupyter();
    expect((await node.processes('kernels')).length).toBeGreaterThan(0);
    expect(await order(false)).toMatchObject({ state: 'stopped' });
    expect(await node.processes('kernels')).toEqual([]);
    await order(true);
    expect([await kernels(), await sessions()]).toEqual([[], []]);
  });

  it('is a stop of a Jupyter that has to be killed for it, whatever they did to their environment', async () => {
    await startKernel(base, token);
    const strange = await startKernel(base, token);
    const pid = await pidOf(strange);
    expect(await run(strange, overwriteEnvironment)).toBe('0');
    expect(await node.processes()).not.toContain(pid);
    await killJupyter();
    expect(await pidOf(strange)).toBe(pid);
    const stopped = order(false);
    await eventually(async () => (await node.control.status()).jupyter.state === 'stopping');
    for (const pid of await node.processes('jupyter')) killIfThere(pid, 'SIGSTOP');
    expect(await stopped).toMatchObject({ state: 'stopped' });
    expect(await node.processes('kernels')).toEqual([]);
    await eventually(() => !existsSync(`/proc/${pid}`));
  });

  it('is the end of the node', async () => {
    await order(true);
    await startKernel(base, token);
    await killJupyter();
    await startKernel(base, token);
    expect(await kernels()).toHaveLength(2);
    expect(await node.stop()).toMatchObject({ code: 0 });
    expect(await node.processes()).toEqual([]);
  });

  it('is the next start of a node that was killed without them', async () => {
    node.start();
    await eventually(async () => (await node.control.status()).node === 'node0');
    await order(true);
    const kernel = await startKernel(base, token);
    const strange = await startKernel(base, token);
    const [pid, strangePid] = [await pidOf(kernel), await pidOf(strange)];
    expect(await run(strange, overwriteEnvironment)).toBe('0');
    await node.stop('SIGKILL');
    expect(await node.processes()).toContain(pid);
    expect(existsSync(`/proc/${strangePid}`)).toBe(true);
    node.start();
    await eventually(() => !existsSync(`/proc/${pid}`) && !existsSync(`/proc/${strangePid}`));
    await eventually(async () => (await node.control.status()).node === 'node0');
    await order(true);
    expect(await kernels()).toEqual([]);
  });
});
