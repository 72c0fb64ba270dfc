/** Changes of an ensemble: the real stage on a Temporal server, on hosts behind real sshds, with real ZooKeeper. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rename, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHostActivities } from '../../src/activities/hosts.js';
import { createZooKeeperActivities } from '../../src/activities/zookeeper.js';
import type { ClusterSpec, HostSpec } from '../../src/cluster/spec.js';
import { allProcesses, commandArguments } from '../../src/lab/processes.js';
import { removeHost } from '../../src/hosts/remove.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { taskQueue } from '../../src/temporal/contract.js';
import { connectZooKeeper, type ZooKeeperClient } from '../../src/zookeeper/client.js';
import { serverStatus } from '../../src/zookeeper/four-letter.js';
import { zookeeperPaths } from '../../src/zookeeper/items.js';
import { killIfThere } from '../support/nodes.js';
import { makeSpec } from '../support/spec.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

let server: TestServer;
let worker: TestWorker;
let pool: SshPool;
let local: string;
const sshds: TestSshd[] = [];
const hosts: HostSpec[] = [];

beforeAll(async () => {
  local = await mkdtemp(path.join(tmpdir(), 'perijove-ensemble-'));
  server = await startTestServer();
  pool = silentPool(path.join(local, 'known'));
  for (const index of [1, 2, 3, 4]) {
    const sshd = await startSshd({ address: `127.22.14.${index}` });
    sshds.push(sshd);
    hosts.push(sshd.host({ name: `h${index}`, roles: ['zookeeper'] }));
  }
  worker = await createTestWorker({
    server,
    workflowsPath: fileURLToPath(new URL('./zookeeper.workflows.ts', import.meta.url)),
    activities: {
      ...createHostActivities({ pool, artifacts: { programsDir: local, nodeBinary: process.execPath } }),
      ...createZooKeeperActivities({ pool }),
    },
  });
}, 120_000);
afterAll(async () => {
  await worker?.stop();
  await Promise.all(
    hosts.map(async (host) => removeHost(await pool.get(host), { purge: true, cluster: 'test' })),
  );
  await pool?.close();
  for (const sshd of sshds) await sshd.remove();
  await server?.stop();
  await rm(local, { recursive: true, force: true });
});

const specOf = (...indexes: readonly number[]): ClusterSpec =>
  makeSpec({
    name: 'test',
    hosts: indexes.map((index) => hosts[index - 1] as HostSpec),
    zookeeper: { tickTimeMs: 500 },
  });

async function bringTo(spec: ClusterSpec): Promise<void> {
  await server.client.workflow.execute('runZookeeperStage', {
    taskQueue,
    workflowId: `zookeeper-${randomUUID()}`,
    args: [spec],
  });
}

/** Through one host's server. */
async function withClient<T>(index: number, work: (client: ZooKeeperClient) => Promise<T>): Promise<T> {
  const { address, ports } = hosts[index - 1] as HostSpec;
  const options = { sessionTimeoutMs: 10_000, connectTimeoutMs: 30_000 };
  const client = await connectZooKeeper(`${address}:${ports.zookeeper}`, options);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

const fileOf = (index: number, which: 'myid' | 'config') =>
  readFile(zookeeperPaths(hosts[index - 1] as HostSpec)[which], 'utf8');
const membersOf = async (index: number) =>
  [...(await fileOf(index, 'config')).matchAll(/^server\.(\d+)=([\d.]+):/gm)].map(
    ([, id, address]) => `${id}@${address?.split('.').at(-1)}`,
  );

describe('the ensemble', { timeout: 300_000 }, () => {
  const written: string[] = [];
  /** Writes through one server; what was written before is there, whoever the members were. */
  const writeAndRead = async (index: number): Promise<void> => {
    await withClient(index, async (client) => {
      const znode = `/mark-${written.length}`;
      await client.create(znode, Buffer.from(znode), 'persistent');
      written.push(znode);
      for (const each of written) expect((await client.getData(each)).data.toString()).toBe(each);
    });
  };

  it('grows from one server to three, and keeps what was written', async () => {
    await bringTo(specOf(2));
    expect(await fileOf(2, 'myid')).toBe('1\n');
    await writeAndRead(2);
    await bringTo(specOf(1, 2, 3));
    expect(await membersOf(1)).toEqual(['1@2', '2@1', '3@3']);
    expect(await fileOf(2, 'myid')).toBe('1\n');
    await writeAndRead(1);
    await writeAndRead(3);
  });

  it('changes nothing when the hosts are reordered', async () => {
    const { address, ports } = hosts[1] as HostSpec;
    const epoch = async () =>
      (await serverStatus({ host: address, port: ports.zookeeper })).zxid?.slice(0, -8);
    const before = await epoch();
    await bringTo(specOf(3, 2, 1));
    // An election would have begun another epoch.
    expect(before).toBeDefined();
    expect(await epoch()).toBe(before);
  });

  it('reports a server that cannot start with its data, which then takes them from the leader', async () => {
    const paths = zookeeperPaths(hosts[2] as HostSpec);
    const data = path.join(paths.data, 'version-2');
    for (const name of await readdir(data)) {
      if (name.startsWith('snapshot.')) await truncate(path.join(data, name), 20);
    }
    for (const pid of processesWith(paths.config)) killIfThere(pid);
    await expect(bringTo(specOf(1, 2, 3))).rejects.toMatchObject({
      cause: {
        cause: {
          type: 'ZOOKEEPER_DATA_DAMAGED',
          message: expect.stringMatching(/h3.*No snapshot found, but there are log entries/) as string,
        },
      },
    });
    await rename(data, `${data}.damaged`);
    await rm(paths.myid);
    await bringTo(specOf(1, 2, 3));
    expect(await fileOf(3, 'myid')).toBe('3\n');
    await writeAndRead(3);
  });

  it('replaces a host that has left the spec, and whose server cannot be stopped', async () => {
    await sshds[0]?.stop();
    try {
      await bringTo(specOf(4, 2, 3));
      expect(await membersOf(4)).toEqual(['1@2', '3@3', '4@4']);
      expect(await membersOf(2)).toEqual(['1@2', '3@3', '4@4']);
      await writeAndRead(4);
    } finally {
      await sshds[0]?.start();
    }
  });

  it('shrinks to one server, and stops the others', async () => {
    const spec = specOf(4, 2, 3);
    await bringTo({
      ...spec,
      hosts: spec.hosts.map((host) => (host.name === 'h4' ? host : { ...host, roles: ['agent'] })),
    });
    expect(await membersOf(4)).toEqual([]);
    await writeAndRead(4);
    for (const index of [2, 3])
      expect(processesWith(zookeeperPaths(hosts[index - 1] as HostSpec).config)).toEqual([]);
  });
});

/** PIDs of the programs with this argument. */
function processesWith(argument: string): number[] {
  return allProcesses().flatMap(({ pid }) => (commandArguments(pid).includes(argument) ? [pid] : []));
}
