import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, lstat, mkdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { hostsEntries } from '../../src/node/hosts.js';
import { eventually } from '../support/eventually.js';
import { runInKernel, startKernel } from '../support/kernel.js';
import { prepareNodes, type TestNode, type TestNodes } from '../support/nodes.js';

const run = promisify(execFile);

const user = { uid: 60_801, gid: 60_801 };
let cluster: TestNodes;
let node0: TestNode;
let node1: TestNode;
let url: string;
let kernel: string;

/** Python that returns the name of the exception of each attempt, or what it returned. */
const attempts = `
import os, subprocess, signal
def attempt(do):
    try:
        return repr(do())
    except Exception as error:
        return type(error).__name__
def read(file):
    with open(file, "rb") as opened:
        return opened.read(1)
def write(file):
    with open(file, "ab") as opened:
        return "written"
def shell(command):
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    return (ran.stdout + ran.stderr).strip()
`;

/** The value of a Python expression in a kernel of node0; it is JSON. */
async function inKernel<T>(expression: string): Promise<T> {
  const code = `import json\n${attempts}\nprint("")\njson.dumps(${expression})`;
  const shown = await runInKernel(url, cluster.jupyterToken, kernel, code);
  const text = shown.slice(1, -1);
  return JSON.parse(text.replaceAll("\\'", "'").replaceAll('\\\\', '\\')) as T;
}

/** What happens on an attempt at each file, by its path. */
async function attemptAll(how: 'read' | 'write', files: readonly string[]): Promise<Record<string, string>> {
  return inKernel(`{file: attempt(lambda: ${how}(file)) for file in ${JSON.stringify(files)}}`);
}

const refused = /^(PermissionError|FileNotFoundError|OSError)$/;

describe.runIf(process.getuid?.() === 0)('a node that root starts for another user', () => {
  beforeAll(async () => {
    cluster = await prepareNodes({ count: 3, firstAddress: '127.66.2.10', user });
    [node0, node1] = cluster.nodes as [TestNode, TestNode];
    await cluster.startAll({ security: 'authenticated' });
    const entries = hostsEntries(cluster.nodes, ['node0', 'node1', 'node2']);
    for (const node of cluster.nodes) await node.control.orderHosts({ generation: 1, entries });
    await node0.control.orderJupyter({ generation: 2, term: 1, serve: true }, { waitMs: 60_000 });
    url = `http://${node0.address}:${cluster.spec.jupyter.port}`;
    kernel = await startKernel(url, cluster.jupyterToken);
  }, 120_000);

  afterAll(() => cluster.remove());

  it('runs Jupyter and its kernels as that user, for good', async () => {
    const jupyter = await readFile(`/proc/${await node0.mainProcess('jupyter')}/status`, 'utf8');
    const own = await inKernel<string>('open("/proc/self/status").read()');
    for (const status of [jupyter, own]) {
      expect(status).toMatch(/^Uid:\t60801\t60801\t60801\t60801$/m);
      expect(status).toMatch(/^Gid:\t60801\t60801\t60801\t60801$/m);
      expect(status).toMatch(/^Groups:\t ?$/m);
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      for (const set of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb'])
        expect(status).toMatch(`Cap${set}:\t0000000000000000`);
    }
  });

  it('gives the user what notebooks need', async () => {
    expect(
      await inKernel(`[
        __import__("getpass").getuser(),
        os.path.expanduser("~"),
        write(os.path.expanduser("~/.python_history")),
        os.getcwd(),
        shell("pwd; hostname"),
      ]`),
    ).toEqual([
      'jovyan',
      node0.layout.home,
      'written',
      `${cluster.dir}/shared/notebooks`,
      `${cluster.dir}/shared/notebooks\nnode0`,
    ]);
    const saved = await fetch(`${url}/api/contents/first.ipynb`, {
      method: 'PUT',
      headers: { authorization: `token ${cluster.jupyterToken}` },
      body: JSON.stringify({
        type: 'notebook',
        content: { cells: [], metadata: {}, nbformat: 4, nbformat_minor: 5 },
      }),
    });
    expect(saved.status).toBe(201);
    expect(await lstat(`${cluster.dir}/shared/notebooks/first.ipynb`)).toMatchObject(user);
    expect(await lstat(`${cluster.dir}/shared/notebooks`)).toMatchObject(user);
  });

  it('shows no secret but those of the user', async () => {
    const { dir } = cluster;
    const secrets = [
      'node-ssh-key',
      'node-host-key',
      'node-api-token',
      'jupyter-token',
      'jupyter-cookie-secret',
      'etcd-member',
      'etcd-client',
    ];
    const files = ['secrets', 'h1/etc/secrets', 'h1/etc/node-secrets'].flatMap((at) =>
      secrets.map((name) => `${dir}/${at}/${name}`),
    );
    const found = await attemptAll('read', [
      ...files,
      `${node0.layout.etcdSecrets}/etcd-member`,
      '/etc/shadow',
    ]);
    expect(Object.keys(found)).toHaveLength(23);
    for (const [file, outcome] of Object.entries(found)) expect(outcome, file).toMatch(refused);
    const own = ['node-ssh-key', 'jupyter-token', 'jupyter-cookie-secret'];
    const readable = await attemptAll(
      'read',
      own.map((name) => `${node0.layout.userSecrets}/${name}`),
    );
    expect(Object.values(readable).every((outcome) => outcome.startsWith("b'"))).toBe(true);
    expect(await inKernel(`sorted(os.listdir(${JSON.stringify(node0.layout.userSecrets)}))`)).toEqual(
      own.toSorted(),
    );
  });

  it('shows only its own tree of a directory that the user may not pass', async () => {
    expect((await stat(cluster.dir)).mode & 0o777).toBe(0o700);
    expect(await inKernel(`sorted(os.listdir(${JSON.stringify(cluster.dir)}))`)).toEqual(['h1', 'shared']);
    expect(await inKernel(`os.listdir(${JSON.stringify(path.dirname(node0.layout.base))})`)).toEqual([
      'node0',
    ]);
    const outcome = await inKernel<string>(`attempt(lambda: write(${JSON.stringify(`${cluster.dir}/new`)}))`);
    expect(outcome).toMatch(refused);
  });

  it('lets the user change no program, service, order or data of the node', async () => {
    const { bin, service, etc, run: runs, data, log, etcdData, etcdCommand, orders, asUser } = node0.layout;
    const files = [
      ...['sweep', 'session', 'ssh', 'new'].map((name) => `${bin}/${name}`),
      asUser,
      ...['jupyter/run', 'jupyter/finish', 'etcd/run', 'sshd/run', 'new', 'jupyter/down'].map(
        (at) => `${service}/${at}`,
      ),
      ...['jupyter/supervise/control', 'etcd/supervise/control'].map((at) => `${service}/${at}`),
      ...['node.json', 'sshd_config', 'ssh_config', 'authorized_keys', 'known_hosts', 'passwd', 'hosts'].map(
        (name) => `${etc}/${name}`,
      ),
      ...[node0.layout.jupyterConfig, `${etc}/jupyter/new.py`, `${node0.layout.lazyImports}/os.py`],
      ...[`${node0.layout.userSecrets}/jupyter-token`, `${node0.layout.userSecrets}/new`],
      ...[etcdCommand, orders, node0.layout.task, node0.layout.fence, node0.layout.owner, `${runs}/new`],
      ...[`${data}/new`, `${etcdData}/new`, `${etcdData}/member/wal/new`, `${log}/jupyter/current`],
      ...['node', 'perijove-node', 'perijove-node.mjs'].map((name) => `${cluster.dir}/h1/bin/${name}`),
      ...['/etc/passwd', '/usr/bin/new', '/root/new'],
    ];
    const found = await attemptAll('write', files);
    expect(Object.keys(found).length).toBeGreaterThan(40);
    for (const [file, outcome] of Object.entries(found)) expect(outcome, file).toMatch(refused);
  });

  it('gives the user no way to root, and no process of it', async () => {
    const control = await node0.mainProcess('control');
    const etcd = await node0.mainProcess('etcd');
    const attemptsAtRoot = [
      'os.setuid(0)',
      'os.setgid(0)',
      'os.chroot("/")',
      'os.chown(os.path.expanduser("~"), 0, 0)',
      'os.open("/proc/1/ns/mnt", os.O_RDONLY)',
      ...[control, etcd, node0.pid, 1].flatMap((pid) => [
        `os.kill(${pid}, signal.SIGKILL)`,
        `read("/proc/${pid}/environ")`,
        `read("/proc/${pid}/mem")`,
        `os.listdir("/proc/${pid}/root/root")`,
      ]),
    ];
    const found = await inKernel<string[]>(
      `[${attemptsAtRoot.map((each) => `attempt(lambda: ${each})`).join(', ')}]`,
    );
    found.forEach((outcome, index) => expect(outcome, attemptsAtRoot[index]).toMatch(refused));
    // A copy of a setuid program as root has one: it gives its owner nothing to whoever has no new privileges.
    const copy = `${cluster.dir}/shared/notebooks/as-root`;
    await run('cp', ['/usr/bin/id', copy]);
    await chmod(copy, 0o4755);
    expect(await inKernel(`shell(${JSON.stringify(`${copy} -u`)})`)).toBe('60801');
    expect(await node0.mainProcess('etcd')).toBe(etcd);
    expect(await node0.mainProcess('control')).toBe(control);
  });

  it('connects nodes by SSH as that user, without a question', async () => {
    const ask = (command: string) => inKernel<string>(`shell(${JSON.stringify(command)})`);
    expect(await ask('ssh -o BatchMode=yes node-1 "id -u; echo \\$HOME; hostname"')).toBe(
      `60801\n${node1.layout.home}\nnode1`,
    );
    expect(await ask('ssh -o BatchMode=yes node-1 ssh -o BatchMode=yes node-2 hostname')).toBe('node2');
    expect(await ask('echo content >~/given && scp -q ~/given node1:copied && ssh node1 cat copied')).toBe(
      'content',
    );
    expect(await ask(`ssh node-1 'cat ${cluster.dir}/secrets/node-api-token'`)).toMatch(
      /No such file|Permission denied/,
    );
    expect(
      await ask(`echo 'get ${cluster.dir}/secrets/node-api-token x' | sftp -q -b - node-1 2>&1`),
    ).toMatch(/not found|Permission denied/);
    // With a terminal, which the user can open by its name.
    expect(await ask('ssh -tt node-1 \'echo opened >"$(tty)"\' 2>&1')).toMatch(/^opened/);
  });

  it('does nothing on behalf of a session as root', async () => {
    const secret = path.join(cluster.dir, 'root.sock');
    const server = createServer((socket) => socket.end('root only'));
    server.listen(secret);
    await once(server, 'listening');
    try {
      await chmod(secret, 0o600);
      const reached = `ssh -o ExitOnForwardFailure=yes -fN -L $HOME/at.sock:${secret} node-1 && python3 -c '
import os, socket
s = socket.socket(socket.AF_UNIX); s.connect(os.path.expanduser("~/at.sock")); print(s.recv(99))'; rm -f ~/at.sock`;
      expect(await inKernel<string>(`shell(${JSON.stringify(reached)})`)).not.toContain('root only');
    } finally {
      server.close();
    }
  });

  it('connects requests to no socket that the user has put in the place of Jupyter’s', async () => {
    const other = path.join(node0.layout.run, 'root.sock');
    const server = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nroot only'));
    server.listen(other);
    await once(server, 'listening');
    const socket = node0.layout.jupyterSocket;
    try {
      await inKernel(
        `[os.rename(${JSON.stringify(socket)}, ${JSON.stringify(`${socket}.old`)}), os.symlink(${JSON.stringify(other)}, ${JSON.stringify(socket)})]`,
      );
      const answer = await fetch(`${url}/api/status`).then((each) => each.text(), String);
      expect(answer).not.toContain('root only');
      await rename(`${socket}.old`, socket);
      const headers = { authorization: `token ${cluster.jupyterToken}` };
      expect((await fetch(`${url}/api/status`, { headers })).status).toBe(200);
    } finally {
      server.close();
    }
  });

  it('opens terminals of that user', async () => {
    const headers = { authorization: `token ${cluster.jupyterToken}` };
    const made = await fetch(`${url}/api/terminals`, { method: 'POST', headers });
    const { name } = (await made.json()) as { readonly name: string };
    const socket = new WebSocket(`${url.replace('http', 'ws')}/terminals/websocket/${name}`, { headers });
    let shown = '';
    socket.on('message', (data: Buffer) => (shown += data.toString()));
    await once(socket, 'open');
    socket.send(JSON.stringify(['stdin', 'echo "[$(id -u) $(whoami) $HOME]"\r']));
    await eventually(() => Promise.resolve(shown.includes(`[60801 jovyan ${node0.layout.home}]`)));
    socket.terminate();
    await fetch(`${url}/api/terminals/${name}`, { method: 'DELETE', headers });
  });

  it('ends everything with the node, kernels of the user included', async () => {
    await inKernel('subprocess.Popen(["sleep", "1000"], start_new_session=True).pid');
    expect(await node0.stop('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(await node0.processes()).toEqual([]);
  });
});

describe.runIf(process.getuid?.() === 0)('existing notebooks', () => {
  it('stay as they are, unless they are to be taken over', async () => {
    for (const takeOwnership of [false, true]) {
      const nodes = await prepareNodes({
        count: 1,
        firstAddress: '127.66.3.10',
        jupyter: { standby: 'warm', follow: 'leader', reflexes: false },
        user,
        takeOwnership,
      });
      try {
        const notebooks = `${nodes.dir}/shared/notebooks`;
        await mkdir(`${notebooks}/a b`, { recursive: true });
        await writeFile(`${notebooks}/a b/old.ipynb`, '{}');
        await symlink('/etc/shadow', `${notebooks}/link`);
        const [node] = nodes.nodes as [TestNode];
        await nodes.startAll();
        await eventually(async () => (await node.control.status()).jupyter.state === 'ready', 60_000);
        const owners = await Promise.all(
          ['', 'a b', 'a b/old.ipynb', 'link'].map(async (at) => (await lstat(`${notebooks}/${at}`)).uid),
        );
        expect(owners).toEqual(Array.from({ length: 4 }, () => (takeOwnership ? user.uid : 0)));
        expect((await stat('/etc/shadow')).uid).toBe(0);
      } finally {
        await nodes.remove();
      }
    }
  });
});
