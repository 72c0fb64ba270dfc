/** A real node, ended from outside through a real sshd. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hostPaths } from '../../src/hosts/paths.js';
import { nodeCommand } from '../../src/node/config.js';
import { fenceNode, type FenceAnswer } from '../../src/node/fence.js';
import type { HostSpec } from '../../src/cluster/spec.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { eventually } from '../support/eventually.js';
import { prepareNodes, type TestNode, type TestNodes } from '../support/nodes.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';

let sshd: TestSshd;
let pool: SshPool;
let directory: string;
let cluster: TestNodes;
let node: TestNode;
let host: HostSpec;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-fence-'));
  sshd = await startSshd({ address: '127.25.9.1' });
  pool = silentPool(directory);
});
afterAll(async () => {
  await pool?.close();
  await sshd?.remove();
  await rm(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  cluster = await prepareNodes({ count: 1, firstAddress: '127.25.9.10' });
  [node] = cluster.nodes as [TestNode];
  const [h1] = cluster.spec.hosts as [HostSpec];
  host = sshd.host({ name: h1.name, dir: h1.dir });
});
afterEach(async () => {
  await cluster.remove();
});

const fence = (
  launch: number,
  options: { on?: HostSpec; answersItself?: boolean } = {},
): Promise<FenceAnswer> => {
  const { on = host, answersItself = false } = options;
  return fenceNode(
    () => pool.get(on),
    {
      node: 'node0',
      base: hostPaths(on).clusterNode('node0'),
      program: `${hostPaths(on).bin}/perijove-node`,
      launch,
    },
    async () => answersItself,
  );
};
const runs = () => eventually('the node is whole', () => node.etcd.linearizableRead().then(() => true));
const isGone = async () => (await node.processes()).length === 0;

/** The task as Mesos would start it; resolves to its output when it ends. */
async function startTask(taskId: string): Promise<{ code: number | null; stderr: string }> {
  const { value, environment } = nodeCommand(cluster.spec, 0, host, { etcdFormed: false, taskId });
  const child = spawn('sh', ['-c', value], {
    env: { PATH: process.env['PATH'], ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, 'exit')) as [number | null];
  return { code, stderr };
}

describe('a fenced node', () => {
  it('is ended with all that runs in it, and its task; a late fence does not end the next launch', async () => {
    const first = startTask('node0.3');
    await runs();
    expect(await fence(3)).toEqual({ kind: 'gone' });
    expect(await isGone()).toBe(true);
    expect((await first).code).toBeNull();
    // Repeated, because the response was lost.
    expect(await fence(3)).toEqual({ kind: 'gone' });

    const late = await startTask('node0.3');
    expect(late.stderr).toContain('NODE_FENCED');
    expect(await isGone()).toBe(true);

    const second = startTask('node0.4');
    await runs();
    const before = await node.processes();
    expect(await fence(3)).toEqual({ kind: 'gone' });
    expect(await node.processes()).toEqual(expect.arrayContaining(before));
    await runs();
    expect(await fence(4)).toEqual({ kind: 'gone' });
    expect((await second).code).toBeNull();
    expect(await isGone()).toBe(true);
  });

  it('is ended even if its task was stopped in the middle of its start', async () => {
    const task = startTask('node0.3');
    const pid = await eventually(
      'it has begun',
      async () => Number(await readFile(node.layout.owner, 'utf8').catch(() => '')) || undefined,
    );
    process.kill(pid, 'SIGSTOP');
    expect(await fence(3)).toEqual({ kind: 'gone' });
    expect((await task).code).toBeNull();
    expect(await isGone()).toBe(true);
  });

  it('that was launched by a release without task IDs is ended too', async () => {
    node.start();
    await runs();
    expect(await fence(7)).toEqual({ kind: 'gone' });
    expect(await isGone()).toBe(true);
  });

  it('does not affect the same node on another host', async () => {
    node.start({ on: 'h2' });
    await runs();
    expect(await fence(7)).toEqual({ kind: 'gone' });
    expect(await isGone()).toBe(false);
    await runs();
  });

  it('leaves nothing behind on a host that never had one', async () => {
    const bare = sshd.host({ dir: path.join(directory, 'bare') });
    expect(await fence(1, { on: bare })).toEqual({ kind: 'gone' });
    await expect(stat(bare.dir)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('a host', () => {
  it('that cannot be reached is silent, unless the node responds', async () => {
    const dead = sshd.host({ ssh: { ...sshd.host().ssh, port: 1 } });
    expect(await fence(1, { on: dead })).toMatchObject({
      kind: 'silent',
      why: expect.stringContaining('SSH_REFUSED') as string,
    });
    expect(await fence(1, { on: dead, answersItself: true })).toMatchObject({ kind: 'alive' });
  });

  it('that refuses access is not silent', async () => {
    const closed = sshd.host({ ssh: { ...sshd.host().ssh, user: 'nobody' } });
    expect(await fence(1, { on: closed })).toMatchObject({
      kind: 'unclear',
      why: expect.stringContaining('SSH_AUTH_FAILED') as string,
    });
  });

  it('that cannot set the fence confirms nothing', async () => {
    const file = path.join(directory, 'file');
    await writeFile(file, '');
    const broken = sshd.host({ dir: file });
    const answer = await fenceNode(
      () => pool.get(broken),
      { node: 'node0', base: `${file}/data/nodes/node0`, program: '/bin/sh', launch: 1 },
      async () => false,
    );
    expect(answer.kind).toBe('unclear');
  });
});
