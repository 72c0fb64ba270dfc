/**
 * Ten notebooks print a number each 100 ms while the node that serves is killed, and while Jupyter is moved: how many
 * kernels are lost, on the killed node and elsewhere, and whether an output is missing. With kernels spread over the
 * nodes, and with kernels on the serving node. Then the round trip of an empty cell, compared to that of a JupyterLab
 * without Perijove in the same run.
 *
 *     npm run bench:kernels -- [kills, 20 by default] [moves, 20 by default] [cells, 300 by default]
 *       [kills with all kernels on the serving node, 5 by default]
 */
import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { CellRun } from '../src/jupyter/cell.js';
import { BenchLab } from './lab.js';
import { printTable, summary, writeResult } from './report.js';

const kills = Number(process.argv[2] ?? 20);
const moves = Number(process.argv[3] ?? 20);
const cells = Number(process.argv[4] ?? 300);
const killsOfAll = Number(process.argv[5] ?? 5);
const notebooks = 10;
const patienceMs = 60_000;

interface Server {
  readonly url: string;
  readonly token: string;
}

async function api(at: Server, method: string, where: string, body?: object): Promise<unknown> {
  const answer = await fetch(`${at.url}${where}`, {
    method,
    headers: { authorization: `token ${at.token}` },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${where}: ${answer.status} ${text.slice(0, 200)}`);
  return text === '' ? undefined : JSON.parse(text);
}

/** A kernel with its session, and one websocket to it. */
class Notebook {
  node = '';
  readonly printed: string[] = [];
  #cell: { readonly run: CellRun; readonly end: (result: string) => void } | undefined;

  private constructor(
    readonly at: Server,
    readonly session: string,
    readonly kernel: string,
    readonly name: string,
    private readonly socket: WebSocket,
  ) {
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer) => this.#take(data.toString()));
  }

  /** Opened through one server, and watched through another one of the same cluster. */
  static async open(name: string, through: Server, at: Server): Promise<Notebook> {
    const model = (await api(through, 'POST', '/api/sessions', {
      ...{ path: `${name}.ipynb`, name, type: 'notebook', kernel: { name: 'python3' } },
    })) as { readonly id: string; readonly kernel: { readonly id: string } };
    const channels = `${at.url.replace('http', 'ws')}/api/kernels/${model.kernel.id}/channels`;
    const socket = new WebSocket(`${channels}?session_id=${randomUUID()}`, {
      headers: { authorization: `token ${at.token}` },
    });
    const notebook = new Notebook(at, model.id, model.kernel.id, name, socket);
    await once(socket, 'open');
    notebook.node = (await notebook.run('import os; os.environ.get("NODE", "")')).replaceAll("'", '');
    await notebook.run(`name = "${name}"`);
    return notebook;
  }

  get connected(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  run(code: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const run = new CellRun(code, this.name);
      const timer = setTimeout(() => reject(new Error(`${this.name}: no end of a cell`)), patienceMs);
      this.#cell = {
        run,
        end: (result) => {
          clearTimeout(timer);
          resolve(result);
        },
      };
      this.socket.send(JSON.stringify(run.request));
    });
  }

  /** Prints 0, 1, 2, … until it is interrupted. */
  count(): void {
    this.printed.length = 0;
    const code =
      'import itertools, time\nfor step in itertools.count():\n    print(step, flush=True); time.sleep(0.1)';
    this.socket.send(JSON.stringify(new CellRun(code, this.name).request));
  }

  /** Whether the numbers so far are all there, in their order. */
  get complete(): boolean {
    return this.printed.every((line, index) => line === String(index));
  }

  /** Ends `count`, which takes the cells with it that were waiting meanwhile. */
  async afterInterrupt(code: string): Promise<string> {
    await api(this.at, 'POST', `/api/kernels/${this.kernel}/interrupt`);
    for (const end = Date.now() + patienceMs; ; await delay(200)) {
      const result = await this.run(code);
      if (result !== '' || Date.now() > end) return result;
    }
  }

  async close(): Promise<void> {
    this.socket.terminate();
    await api(this.at, 'DELETE', `/api/sessions/${this.session}`).catch(() => undefined);
  }

  #take(frame: string): void {
    const message = JSON.parse(frame) as { readonly msg_type?: string; readonly content?: { text?: string } };
    if (message.msg_type === 'stream') {
      this.printed.push(...(message.content?.text ?? '').split('\n').filter(Boolean));
    }
    const end = this.#cell?.run.take(frame);
    if (end?.ok === false) console.error(`${this.name}: ${end.lastLine}`);
    if (end) this.#cell?.end(end.ok ? end.result : '');
  }
}

const lab = new BenchLab('127.89');

interface Row {
  readonly label: string;
  readonly events: number;
  readonly kernels: number;
  readonly ofKilledNodes: number;
  readonly lost: number;
  readonly gaps: number;
}

/** Each kernel that is watched through one event counts once. */
async function survive(
  label: string,
  count: number,
  strike: (victim: string) => Promise<string>,
): Promise<Row> {
  const servers = (await lab.entrances()).map(({ address, port, token }) => ({
    url: `http://${address}:${port}`,
    token,
  }));
  const server = (index: number) => servers[index % servers.length] ?? { url: '', token: '' };
  const open = new Map<number, Notebook>();
  const row = { label, events: count, kernels: 0, ofKilledNodes: 0, lost: 0, gaps: 0 };
  for (let event = 0; event < count; event++) {
    const { jupyter } = await lab.ready();
    for (let index = 0; index < notebooks; index++) {
      if (open.has(index)) continue;
      const notebook = await Notebook.open(`${label}-${event}-${index}`, server(index), server(index + 1));
      notebook.count();
      open.set(index, notebook);
    }
    const killed = await strike(jupyter.node ?? '');
    await lab.ready();
    const before = new Map([...open].map(([index, notebook]) => [index, notebook.printed.length]));
    await delay(1_000);
    for (const [index, notebook] of open) {
      row.kernels += 1;
      const alive = notebook.connected && notebook.printed.length > (before.get(index) ?? 0);
      if (alive && !notebook.complete) row.gaps += 1;
      if (alive && notebook.complete) continue;
      if (notebook.node === killed) row.ofKilledNodes += 1;
      else if (!alive) row.lost += 1;
      open.delete(index);
      await notebook.close();
    }
    console.log(`${label} ${event + 1}/${count}: ${JSON.stringify(row)}`);
  }
  for (const notebook of open.values()) {
    if ((await notebook.afterInterrupt('name')) !== `'${notebook.name}'`) row.lost += 1;
    await notebook.close();
  }
  return row;
}

async function freePort(): Promise<number> {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as net.AddressInfo;
  probe.close();
  return port;
}

/** A JupyterLab without Perijove. */
async function plain(work: (at: Server) => Promise<void>): Promise<void> {
  const { jupyter } = await lab.spec();
  const directory = mkdtempSync(path.join(tmpdir(), 'perijove-bench-plain-'));
  const token = randomBytes(24).toString('hex');
  const port = await freePort();
  const child = spawn(
    jupyter.executable,
    ['--allow-root', '--no-browser', '--ip=127.0.0.1', `--port=${port}`, `--ServerApp.root_dir=${directory}`],
    {
      stdio: 'ignore',
      env: { ...process.env, JUPYTER_TOKEN: token, HOME: directory, JUPYTER_RUNTIME_DIR: directory },
    },
  );
  try {
    const at = { url: `http://127.0.0.1:${port}`, token };
    for (const end = Date.now() + patienceMs; ; await delay(200)) {
      const answers = await api(at, 'GET', '/api/status').then(
        () => true,
        () => false,
      );
      if (answers) break;
      if (Date.now() > end) throw new Error('JupyterLab does not start');
    }
    await work(at);
  } finally {
    const ended = once(child, 'exit');
    child.kill('SIGINT');
    child.kill('SIGTERM');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The servers take turns, so that a slow moment of the machine is one of all. */
async function roundTrips(kernels: readonly { readonly label: string; readonly notebook: Notebook }[]) {
  const took = new Map(kernels.map(({ label }) => [label, [] as number[]]));
  for (let count = 0; count < cells; count++) {
    for (const { label, notebook } of kernels) {
      const begun = performance.now();
      await notebook.run('pass');
      took.get(label)?.push(performance.now() - begun);
    }
  }
  return [...took].map(([label, values]) => ({ label, ...summary(values) }));
}

const rows: Row[] = [];
let trips: Awaited<ReturnType<typeof roundTrips>> = [];
try {
  await lab.up();
  await lab.ready();
  const kill = async (victim: string) => {
    lab.killNode(victim);
    await delay(0);
    return victim;
  };
  const names = (await lab.addresses()).map(({ node }) => node);
  rows.push(
    await survive('move', moves, async (serving) => {
      await lab.move(names[(names.indexOf(serving) + 1) % names.length] ?? '');
      return '';
    }),
  );
  rows.push(await survive('kill, spread', kills, kill));
  await plain(async (at) => {
    const [entrance] = await lab.entrances();
    if (!entrance) throw new Error('a lab has hosts');
    const host = { url: `http://${entrance.address}:${entrance.port}`, token: entrance.token };
    const other = await Notebook.open('round-trip', host, host);
    const own = await Notebook.open('plain', at, at);
    const { jupyter } = await lab.ready();
    if (jupyter.node === other.node) throw new Error('the kernel is on the serving node');
    trips = await roundTrips([
      { label: 'JupyterLab alone', notebook: own },
      { label: 'through a host, on another node', notebook: other },
    ]);
    await lab.move(other.node);
    trips.push(...(await roundTrips([{ label: 'through a host, on the serving node', notebook: other }])));
    await other.close();
    await own.close();
  });
  await lab.set('jupyter', { kernels: '{ placement: leader }' });
  await lab.ready();
  rows.push(await survive('kill, leader', killsOfAll, kill));
} finally {
  await lab.purge();
}

printTable([
  ['', 'events', 'kernels watched', 'lost with their node', 'lost elsewhere', 'with a gap'],
  ...rows.map(({ label, events, kernels, ofKilledNodes, lost, gaps }) => [
    ...[label, String(events), String(kernels), String(ofKilledNodes), String(lost), String(gaps)],
  ]),
]);
const ms = (value: number) => `${value.toFixed(1)} ms`;
printTable([
  ['an empty cell', 'cells', 'median', 'min', 'max'],
  ...trips.map(({ label, count, median, min, max }) => [label, String(count), ms(median), ms(min), ms(max)]),
]);
writeResult('kernels', { notebooks, rows, trips });
