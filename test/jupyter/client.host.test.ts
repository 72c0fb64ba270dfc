import { once } from 'node:events';
import { readFile, readlink } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { jupyterStatus, runCell } from '../../src/jupyter/client.js';
import { eventually } from '../support/eventually.js';
import { killIfThere, prepareNodes, type TestNode, type TestNodes } from '../support/nodes.js';

let cluster: TestNodes;
let node: TestNode;
let base: string;
let token: string;
let generation = 0;

const waitMs = 50_000;

beforeAll(async () => {
  cluster = await prepareNodes({ count: 1, firstAddress: '127.25.5.10' });
  [node] = cluster.nodes as [TestNode];
  base = `http://${node.address}:${cluster.spec.jupyter.port}`;
  token = cluster.jupyterToken;
  node.start();
  await eventually(async () => (await node.control.status()).node === 'node0', 30_000);
});

afterAll(() => cluster.remove());

const order = (serve: boolean) =>
  node.control.orderJupyter({ generation: (generation += 1), term: 1, serve }, { waitMs });

async function kernels(): Promise<number> {
  const lines = await Promise.all(
    (await node.processes('kernels')).map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  return lines.filter((line) => line.includes('ipykernel_launcher')).length;
}

describe('Jupyter of a node', () => {
  it('is down until it is ordered', async () => {
    await expect(jupyterStatus(base, token)).rejects.toMatchObject({ code: 'JUPYTER_UNREACHABLE' });
    expect(await node.processes('jupyter')).toEqual([]);
  });

  it('is ready when the order is answered, and runs a cell', async () => {
    const status = await order(true);
    expect(status).toMatchObject({ state: 'ready', generation });
    expect(status.startMs).toBeGreaterThan(0);
    expect((await jupyterStatus(base, token)).kernels).toBe(0);
    expect(await runCell(base, token, '6*7')).toBe('42');
    expect((await jupyterStatus(base, token)).kernels).toBe(0);
  });

  it('is unchanged by an order of a higher generation', async () => {
    const [pid] = await node.processes('jupyter');
    expect(await order(true)).toMatchObject({ state: 'ready', generation });
    expect(await node.processes('jupyter')).toContain(pid);
  });

  it('keeps the token out of the environment and the command lines of all processes', async () => {
    const seen: string[] = [];
    for (const pid of [...(await node.processes()), node.pid ?? 0]) {
      seen.push(await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => ''));
      seen.push(await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''));
    }
    seen.push(await readFile(`${node.layout.log}/jupyter/current`, 'utf8'));
    expect(seen.join('\n')).not.toContain(token);
    expect(await runCell(base, token, `__import__("os").environ.get("PYTHONPATH")`)).toBe('');
  });

  it('gives kernels the programs of the node, the notebooks as their directory, and the check of IRIs', async () => {
    expect(await runCell(base, token, '__import__("subprocess").getoutput("hostname")')).toBe("'node0'");
    expect(await runCell(base, token, '__import__("os").getcwd()')).toBe(`'${cluster.dir}/shared/notebooks'`);
    const check = `from jsonschema import Draft7Validator as D
[D({"format": "iri"}, format_checker=D.FORMAT_CHECKER).is_valid(text) for text in ("http://a/ü", "a b")]`;
    expect(await runCell(base, token, check)).toBe('[True, False]');
  });

  it('is still JupyterLab, and does not fetch news', async () => {
    const headers = { authorization: `token ${token}` };
    const page = await fetch(`${base}/lab`, { headers });
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('"news": {"disabled": true}');
    for (const path of ['/api/contents', '/api/kernelspecs', '/lab/api/settings', '/lab/api/workspaces']) {
      expect((await fetch(`${base}${path}`, { headers })).status, path).toBe(200);
    }
    const terminal = await fetch(`${base}/api/terminals`, { method: 'POST', headers });
    expect(terminal.status).toBe(200);
    await eventually(async () => {
      const exes = await Promise.all(
        (await node.processes('jupyter')).map((pid) => readlink(`/proc/${pid}/exe`).catch(() => '')),
      );
      return exes.some((exe) => /\/(bash|dash|sh)$/.test(exe));
    });
  });

  it('reports the last line of a traceback, and ends that kernel too', async () => {
    await expect(runCell(base, token, '1/0')).rejects.toMatchObject({
      code: 'JUPYTER_CELL_FAILED',
      message: 'the cell failed: ZeroDivisionError: division by zero',
    });
    await eventually(async () => (await kernels()) === 0);
  });

  it('aborts a cell that takes too long, and ends its kernel', async () => {
    const slow = runCell(base, token, '__import__("time").sleep(600)', { timeoutMs: 6_000 });
    await expect(slow).rejects.toMatchObject({ code: 'JUPYTER_UNREACHABLE' });
    await eventually(async () => (await kernels()) === 0);
  });

  it('rejects a wrong token', async () => {
    await expect(jupyterStatus(base, 'wrong')).rejects.toMatchObject({ code: 'JUPYTER_AUTH_FAILED' });
    await expect(runCell(base, 'wrong', '1')).rejects.toMatchObject({ code: 'JUPYTER_AUTH_FAILED' });
  });
});

describe('Jupyter through a proxy at another address', () => {
  let proxy: Server;
  let through: string;

  beforeAll(async () => {
    // Forwards bytes, so the Host header arrives as the browser sent it.
    proxy = createServer((client) => {
      const upstream = connect(cluster.spec.jupyter.port, node.address);
      client.pipe(upstream).pipe(client);
      client.on('error', () => upstream.destroy());
      upstream.on('error', () => client.destroy());
    });
    proxy.listen(0, '127.25.5.200');
    await once(proxy, 'listening');
    through = `http://127.25.5.200:${(proxy.address() as AddressInfo).port}`;
  });

  afterAll(() => proxy.close());

  /** The cookies of a browser that has followed the link with the token. */
  async function login(): Promise<string> {
    const answer = await fetch(`${through}/lab?token=${token}`, { redirect: 'manual' });
    return answer.headers
      .getSetCookie()
      .map((cookie) => cookie.split(';')[0])
      .join('; ');
  }

  it('runs a cell', async () => {
    expect(await runCell(through, token, '"through"')).toBe("'through'");
  });

  it('accepts websockets of its own pages only', async () => {
    const kernel = (await (
      await fetch(`${through}/api/kernels`, { method: 'POST', headers: { authorization: `token ${token}` } })
    ).json()) as { id: string };
    // As a browser: a request with the token itself may come from anywhere.
    const cookie = await login();
    const open = async (origin: string): Promise<string> => {
      const socket = new WebSocket(`${through.replace('http', 'ws')}/api/kernels/${kernel.id}/channels`, {
        origin,
        headers: { cookie },
      });
      const event = await Promise.race([
        once(socket, 'open').then(() => 'open'),
        once(socket, 'unexpected-response').then(() => 'refused'),
      ]);
      socket.on('error', () => undefined);
      socket.terminate();
      return event;
    };
    expect(await open(through)).toBe('open');
    expect(await open('http://elsewhere.example')).toBe('refused');
  });

  it('keeps a login when another server has the same secrets', async () => {
    const cookie = await login();
    const me = async () => (await fetch(`${through}/api/me`, { headers: { cookie } })).status;
    expect(await me()).toBe(200);
    await order(false);
    await order(true);
    expect(await me()).toBe(200);
  });
});

describe('Jupyter that is killed or stopped', () => {
  /** Starts a kernel that is not deleted. */
  async function startKernel(): Promise<void> {
    const headers = { authorization: `token ${token}` };
    await fetch(`${base}/api/kernels`, { method: 'POST', headers });
    await eventually(async () => (await kernels()) > 0);
  }

  it('is restarted when it is killed, and its kernels go on', async () => {
    await startKernel();
    const kept = await node.processes('kernels');
    const before = await node.processes('jupyter');
    killIfThere(await node.mainProcess('jupyter'));
    await eventually(async () => (await node.control.status()).jupyter.state === 'starting');
    await eventually(async () => (await node.control.status()).jupyter.state === 'ready', waitMs);
    expect((await node.processes('jupyter')).filter((pid) => before.includes(pid))).toEqual([]);
    expect(await node.processes('kernels')).toEqual(expect.arrayContaining(kept));
    expect((await jupyterStatus(base, token)).kernels).toBe(1);
  });

  it('is restarted once when its supervisor is killed', async () => {
    const before = await node.processes('jupyter');
    const supervisors = await Promise.all(
      (await node.processes()).map(async (pid) => ({
        pid,
        line: await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
      })),
    );
    killIfThere(supervisors.find(({ line }) => line === 'runsv\0jupyter\0')?.pid ?? 0);
    await eventually(async () => {
      const now = await node.processes('jupyter');
      return now.length > 0 && now.every((pid) => !before.includes(pid));
    });
    await eventually(async () => (await node.control.status()).jupyter.state === 'ready', waitMs);
  });

  it('keeps running when the control process is killed, which remembers the order', async () => {
    const [before] = await node.processes('jupyter');
    for (const pid of await node.processes('control')) killIfThere(pid);
    await eventually(async () => {
      const { jupyter } = await node.control.status();
      return jupyter.state === 'ready' && jupyter.generation === generation;
    }, 20_000);
    expect(await node.processes('jupyter')).toContain(before);
    await expect(
      node.control.orderJupyter({ generation: generation - 1, term: 1, serve: false }),
    ).rejects.toMatchObject({
      code: 'STALE_GENERATION',
    });
  });

  it('is not ready while it does not respond', async () => {
    const pids = await node.processes('jupyter');
    const main = await node.mainProcess('jupyter');
    for (const pid of pids) killIfThere(pid, 'SIGSTOP');
    await eventually(async () => (await node.control.status()).jupyter.state === 'starting', 20_000);
    for (const pid of pids) killIfThere(pid, 'SIGCONT');
    await eventually(async () => (await node.control.status()).jupyter.state === 'ready', 20_000);
    expect(await node.processes('jupyter')).toContain(main);
  });

  it('ends with all its kernels and terminals when it is ordered to stop', async () => {
    await startKernel();
    await fetch(`${base}/api/terminals`, { method: 'POST', headers: { authorization: `token ${token}` } });
    expect(await order(false)).toMatchObject({ state: 'stopped', generation, gate: { open: false } });
    expect([...(await node.processes('jupyter')), ...(await node.processes('kernels'))]).toEqual([]);
  });

  it('is killed when it does not exit', async () => {
    await order(true);
    const stopped = order(false);
    // The supervisor resumes a process when it terminates it, so it is stopped after that.
    await eventually(async () => (await node.control.status()).jupyter.state === 'stopping');
    for (const pid of await node.processes('jupyter')) killIfThere(pid, 'SIGSTOP');
    expect(await stopped).toMatchObject({ state: 'stopped', generation, gate: { open: false } });
    expect(await node.processes('jupyter')).toEqual([]);
  });

  it('obeys the newer of two orders, and reports that to the older', async () => {
    const older = node.control.orderJupyter({ generation: generation + 1, term: 1, serve: true }, { waitMs });
    const refused = expect(older).rejects.toMatchObject({ code: 'STALE_GENERATION' });
    await eventually(async () => (await node.control.status()).jupyter.state === 'starting');
    generation += 1;
    expect(await order(false)).toMatchObject({ state: 'stopped', generation, gate: { open: false } });
    await refused;
  });

  it('does not start on an order for an earlier life of the node', async () => {
    await order(true);
    await node.crash();
    node.start({ etcdFormed: true });
    await eventually(async () => (await node.control.status()).node === 'node0', 30_000);
    expect(await node.control.status()).toMatchObject({
      generation,
      jupyter: { state: 'stopped', generation },
    });
    expect(await order(true)).toMatchObject({ state: 'ready' });
    expect(await runCell(base, token, '"again"')).toBe("'again'");
  });

  it('stores notebooks where the next node finds them', async () => {
    await runCell(base, token, 'open("note", "w").write("kept")');
    expect(await readFile(`${cluster.dir}/shared/notebooks/note`, 'utf8')).toBe('kept');
  });
});
