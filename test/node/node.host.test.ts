import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeClient } from '../../src/node/client.js';
import { hostsDigest, hostsEntries, readHosts } from '../../src/node/hosts.js';
import { userOomScore } from '../../src/node/layout.js';
import { eventually } from '../support/eventually.js';
import { killIfThere, prepareNodes, type TestNode, type TestNodes } from '../support/nodes.js';

const run = promisify(execFile);

let cluster: TestNodes;
let node0: TestNode;
let node1: TestNode;
let node2: TestNode;

beforeAll(async () => {
  cluster = await prepareNodes({ count: 3, firstAddress: '127.25.2.10' });
  [node0, node1, node2] = cluster.nodes as [TestNode, TestNode, TestNode];
  await cluster.startAll();
});

afterAll(() => cluster.remove());

/** Runs a program in the node's environment, like a kernel or a terminal. */
async function inNode(node: TestNode, command: string): Promise<string> {
  const { stdout } = await run('sh', ['-c', command], {
    env: { PATH: `${node.layout.bin}:/usr/sbin:/usr/bin:/bin`, HOME: process.env['HOME'] },
    timeout: 20_000,
  });
  return stdout.trim();
}

describe('the control API', () => {
  it('reports which node it is, and its state', async () => {
    await eventually(async () => (await node1.control.status()).etcd.state === 'running');
    const status = await node1.control.status();
    expect(status).toMatchObject({ node: 'node1', jupyter: { state: 'stopped' } });
    expect(status.etcd.memberId).toBe((await node1.etcd.status()).memberId);
    expect(status.hosts.digest).toBe(hostsDigest(cluster.nodes));
  });

  it('refuses a wrong token for every request', async () => {
    const stranger = nodeClient({ host: node0.address, port: cluster.spec.nodes.controlPort }, 'wrong');
    await expect(stranger.status()).rejects.toMatchObject({ code: 'NODE_AUTH_FAILED' });
    await expect(stranger.orderJupyter({ generation: 99, term: 1, serve: true })).rejects.toMatchObject({
      code: 'NODE_AUTH_FAILED',
    });
    expect((await node0.control.status()).generation).toBeLessThan(99);
  });

  it('answers an invalid request with a code', async () => {
    const token = (await readFile(`${cluster.dir}/secrets/node-api-token`, 'utf8')).trim();
    const base = `http://${node0.address}:${cluster.spec.nodes.controlPort}`;
    const ask = async (method: string, path: string, body?: string) => {
      const response = await fetch(`${base}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { body }),
      });
      return [response.status, ((await response.json()) as { code: string }).code];
    };
    expect(await ask('GET', '/other')).toEqual([404, 'NOT_FOUND']);
    expect(await ask('POST', '/jupyter', '{}')).toEqual([404, 'NOT_FOUND']);
    expect(await ask('PUT', '/jupyter', 'no json')).toEqual([400, 'BAD_REQUEST']);
    expect(await ask('PUT', '/jupyter', '{"generation":1}')).toEqual([400, 'BAD_REQUEST']);
    expect(await ask('PUT', '/jupyter?wait=long', '{"generation":1,"term":1,"serve":false}')).toEqual([
      400,
      'BAD_REQUEST',
    ]);
    expect(
      await ask('PUT', '/hosts', '{"generation":1,"entries":[{"name":"a b","address":"10.0.0.1"}]}'),
    ).toEqual([400, 'BAD_REQUEST']);
    expect(await ask('PUT', '/hosts', ' '.repeat(300 * 1024))).toEqual([413, 'TOO_LARGE']);
  });

  it('that cannot be reached is reported as unreachable', async () => {
    const nobody = nodeClient({ host: '127.25.2.99', port: 2400 }, 'token');
    await expect(nobody.status()).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
  });
});

describe('the hosts file', () => {
  it('is updated as ordered, in place, and keeps lines from others', async () => {
    const file = `${node0.layout.base}/etc/hosts`;
    const before = await readFile(file, 'utf8');
    await writeFile(file, `10.9.9.9\tby-hand\n${before}`);
    const { ino } = await stat(file);

    const entries = hostsEntries(cluster.nodes, ['node2', 'node0', 'node1']);
    const answer = await node0.control.orderHosts({ generation: 2, entries });
    expect(answer).toEqual({ generation: 2, digest: hostsDigest(entries) });
    const text = await readFile(file, 'utf8');
    expect(text).toContain('10.9.9.9\tby-hand\n');
    expect(readHosts(text)).toEqual(entries);
    expect((await stat(file)).ino).toBe(ino);
  });

  it('is shown in the status with its current content, not the ordered one', async () => {
    const entries = hostsEntries(cluster.nodes, ['node1']);
    await node1.control.orderHosts({ generation: 2, entries });
    await writeFile(`${node1.layout.base}/etc/hosts`, '127.0.0.1\tlocalhost\n');
    const { hosts } = await node1.control.status();
    expect(hosts).toEqual({ generation: 2, digest: hostsDigest([]) });
  });

  it('refuses an older generation, also one of the other order', async () => {
    await node0.control.orderHosts({ generation: 5, entries: hostsEntries(cluster.nodes, ['node1']) });
    const stale = { code: 'STALE_GENERATION' };
    await expect(node0.control.orderHosts({ generation: 4, entries: [] })).rejects.toMatchObject(stale);
    await expect(node0.control.orderJupyter({ generation: 4, term: 1, serve: true })).rejects.toMatchObject(
      stale,
    );
    expect(await node0.control.status()).toMatchObject({ generation: 5, jupyter: { state: 'stopped' } });
  });
});

describe('SSH among the nodes', () => {
  beforeAll(async () => {
    const entries = hostsEntries(cluster.nodes, ['node1', 'node0', 'node2']);
    for (const node of cluster.nodes) await node.control.orderHosts({ generation: 10, entries });
  });

  it('connects each node to each other one by every name, without a prompt', async () => {
    for (const node of cluster.nodes) {
      expect(await inNode(node, 'ssh -o BatchMode=yes node-0 hostname')).toBe('node1');
      expect(await inNode(node, 'ssh -o BatchMode=yes node2 hostname')).toBe('node2');
    }
    expect(await inNode(node0, `ssh -o BatchMode=yes ${node2.address} 'echo $NODE'`)).toBe('node2');
  });

  it('continues from node to node', async () => {
    expect(await inNode(node0, 'ssh node-1 ssh node-2 ssh node-0 hostname')).toBe('node1');
  });

  it('runs what ends before the node’s services where memory runs out', async () => {
    const read = 'ssh node1 cat /proc/self/oom_score_adj';
    expect(Number(await inNode(node0, read))).toBe(userOomScore);
  });

  it('refuses a server with another key', async () => {
    const knownHosts = node2.layout.knownHosts;
    const known = await readFile(knownHosts, 'utf8');
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', `${cluster.dir}/other`]);
    const [, other] = (await readFile(`${cluster.dir}/other.pub`, 'utf8')).split(' ');
    await writeFile(knownHosts, `perijove-test ssh-ed25519 ${other ?? ''}\n`);
    await expect(inNode(node2, 'ssh -o BatchMode=yes node-0 hostname')).rejects.toThrow(
      /Host key verification failed/,
    );
    await writeFile(knownHosts, known);
  });

  it('admits nobody without the key', async () => {
    const port = String(cluster.spec.nodes.sshPort);
    await expect(
      run('ssh', [
        ...['-p', port, '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=no', '-o', 'IdentitiesOnly=yes'],
        ...['-o', 'UserKnownHostsFile=/dev/null', '-i', `${cluster.dir}/other`, node0.address, 'true'],
      ]),
    ).rejects.toThrow(/Permission denied/);
  });

  it('copies files by scp and sftp', async () => {
    await writeFile(`${cluster.dir}/a file`, 'content');
    await inNode(node0, `scp -q '${cluster.dir}/a file' node2:${cluster.dir}/copied`);
    await inNode(node1, `echo 'put "${cluster.dir}/copied" ${cluster.dir}/again' | sftp -q -b - node-0`);
    expect(await readFile(`${cluster.dir}/again`, 'utf8')).toBe('content');
  });
});

describe('after a kill', () => {
  it.each(['etcd', 'sshd', 'control'] as const)('%s comes back', async (service) => {
    const before = await node2.processes(service);
    expect(before.length).toBeGreaterThan(0);
    for (const pid of before) killIfThere(pid);
    await eventually(async () => {
      const now = await node2.processes(service);
      return now.length > 0 && now.every((pid) => !before.includes(pid));
    });
    await eventually(() => works(node2));
  });

  it('each supervisor and each log process comes back, and leaves no second service behind', async () => {
    const services = await node2.processes();
    const named = await Promise.all(services.map(async (pid) => ({ pid, name: await nameOf(pid) })));
    const victims = named.filter(({ name }) => name === 'runsv' || name === 'svlogd');
    expect(victims).toHaveLength(8);
    for (const { pid } of victims) {
      killIfThere(pid);
      await eventually(async () => {
        const now = await node2.processes();
        const names = await Promise.all(now.map(nameOf));
        return (
          !now.includes(pid) &&
          names.filter((name) => name === 'runsv').length === 4 &&
          names.filter((name) => name === 'svlogd').length === 4 &&
          (await node2.processes('etcd')).length === 1 &&
          (await works(node2))
        );
      });
    }
  });

  it('the supervisor of all ends the task with an error, and nothing is left', async () => {
    const supervisor = (
      await Promise.all((await node2.processes()).map(async (pid) => [pid, await nameOf(pid)] as const))
    ).find(([, name]) => name === 'runsvdir');
    expect(supervisor).toBeDefined();
    killIfThere(supervisor?.[0] ?? 0);
    expect(await node2.stop('SIGCONT')).toEqual({ code: 1, signal: null });
    expect(node2.output()).toContain('NODE_FAILED');
    expect(await node2.processes()).toEqual([]);
    node2.start();
    await eventually(() => works(node2), 20_000);
  });

  it('a start that was killed at any point can be repeated, and takes over what is left', async () => {
    // Times across a start, from before its first effect to after its last.
    for (const afterMs of [0, 40, 80, 120, 200, 300, 450, 700, 1_200]) {
      await node2.stop('SIGKILL');
      node2.start();
      await new Promise((resolve) => setTimeout(resolve, afterMs));
    }
    await node2.stop('SIGKILL');
    node2.start();
    await eventually(() => works(node2), 20_000);
    const now = await node2.processes();
    expect((await Promise.all(now.map(nameOf))).filter((name) => name === 'runsvdir')).toHaveLength(1);
  });

  it('a start that was replaced by a later one leaves the tree unchanged', async () => {
    const first = node2.pid ?? 0;
    process.kill(first, 'SIGSTOP');
    const firstEnds = node2.stop('SIGSTOP');
    node2.start();
    await eventually(() => works(node2), 20_000);
    const before = await node2.processes();
    process.kill(first, 'SIGTERM');
    process.kill(first, 'SIGCONT');
    expect(await firstEnds).toEqual({ code: 0, signal: null });
    expect(await node2.processes()).toEqual(expect.arrayContaining(before));
    expect(await works(node2)).toBe(true);
  });
});

describe('SIGTERM', () => {
  it('ends everything in order, including sessions and their children', async () => {
    const session = execFile('sh', [
      '-c',
      `PATH=${node1.layout.bin}:$PATH ssh node2 'sleep 1000 & sleep 1000'`,
    ]);
    await eventually(async () => {
      const names = await Promise.all((await node2.processes()).map(nameOf));
      return names.filter((name) => name === 'sleep').length === 2;
    });
    const ended = once(session, 'exit');
    expect(await node2.stop('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(await node2.processes()).toEqual([]);
    await ended;
    node2.start();
    await eventually(() => works(node2), 20_000);
  });
});

describe('an executor that exports variables for itself', () => {
  it('starts the node and its Jupyter without them', async () => {
    expect(await node2.stop('SIGTERM')).toEqual({ code: 0, signal: null });
    // With each of these, Node.js or Python would not start.
    const exported = {
      LD_LIBRARY_PATH: cluster.dir,
      NODE_OPTIONS: '--require=/nowhere.js',
      PYTHONHOME: '/nowhere',
    };
    node2.start({ exported });
    await eventually(() => works(node2), 20_000);
    await node2.control.orderJupyter({ generation: 20, term: 1, serve: true });
    await eventually(async () => (await node2.control.status()).jupyter.state === 'ready', 60_000);
    for (const pid of await node2.processes()) {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      const names = environment.split('\0').map((entry) => entry.split('=')[0] ?? '');
      expect(names.filter((name) => name in exported)).toEqual([]);
    }
    expect(node2.pid && (await nameOf(node2.pid))).toMatch(/^node/);
  });
});

describe('a start that must fail', () => {
  it('reports why, without a stack trace', async () => {
    const program = `${cluster.dir}/h1/bin/perijove-node`;
    const start = (config: string | undefined, ...words: string[]) =>
      run(program, words, {
        env: { PATH: process.env['PATH'], ...(config === undefined ? {} : { PERIJOVE_NODE_CONFIG: config }) },
      });
    await expect(start(undefined, 'start', '1')).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringMatching(
        /^perijove-node: NODE_CONFIG_INVALID: PERIJOVE_NODE_CONFIG is not set\n/,
      ) as string,
    });
    await expect(start('{}', 'start', '1')).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is invalid at cluster') as string,
    });
    await expect(start(undefined, 'start', 'x')).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('usage: perijove-node') as string,
    });
  });
});

/**
 * The current start of the node runs it, and nothing of an earlier one does, because a start ends that before
 * it starts its supervisor. Its member takes part in the quorum, its sshd and its control API respond.
 */
async function works(node: TestNode): Promise<boolean> {
  const supervisors: number[] = [];
  for (const pid of await node.processes()) if ((await nameOf(pid)) === 'runsvdir') supervisors.push(pid);
  const [supervisor] = supervisors;
  if (supervisor === undefined || supervisors.length > 1) return false;
  const status = await readFile(`/proc/${supervisor}/status`, 'utf8');
  if (!status.includes(`PPid:\t${node.pid}\n`)) return false;
  await node.etcd.linearizableRead();
  const { etcd } = await node.control.status();
  return etcd.state === 'running' && (await inNode(node0, `ssh ${node.name} hostname`)) === node.name;
}

async function nameOf(pid: number): Promise<string> {
  return (await readlink(`/proc/${pid}/exe`).catch(() => '')).split('/').at(-1) ?? '';
}
