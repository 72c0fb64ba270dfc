import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { candidates } from '../../src/mesos/masters/candidates.js';
import { leadingMaster } from '../../src/mesos/masters/detector.js';
import { directReach } from '../../src/ssh/reach.js';
import { connectZooKeeper, type ZooKeeperClient } from '../../src/zookeeper/client.js';
import { fourLetter, isRunning, serverStatus } from '../../src/zookeeper/four-letter.js';
import { eventually } from '../support/eventually.js';
import { startEnsemble, type TestEnsemble } from '../support/zookeeper.js';

let ensemble: TestEnsemble;
const clients: ZooKeeperClient[] = [];

const connect = async (
  more: { digest?: string; sessionTimeoutMs?: number } = {},
): Promise<ZooKeeperClient> => {
  const client = await connectZooKeeper(ensemble.connect, {
    sessionTimeoutMs: 1_500,
    connectTimeoutMs: 10_000,
    ...more,
  });
  clients.push(client);
  return client;
};

beforeAll(async () => {
  ensemble = await startEnsemble(['127.23.4.1', '127.23.4.2', '127.23.4.3']);
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});
afterAll(async () => {
  await ensemble.close();
});

const member = (index: number) => {
  const server = ensemble.servers[index];
  if (!server) throw new Error(`no server ${index}`);
  return server;
};

describe('an ensemble of three on one machine', () => {
  it('answers the allowed four-letter words, and no others', async () => {
    const { endpoint } = member(0);
    expect(await isRunning(endpoint)).toBe(true);
    expect(await serverStatus(endpoint)).toMatchObject({ version: expect.stringContaining('3.') as string });
    expect(await fourLetter(endpoint, 'mntr')).toContain('zk_server_state');
    const modes = await Promise.all(
      ensemble.servers.map(async ({ endpoint: at }) => (await serverStatus(at)).mode),
    );
    expect(modes.sort()).toEqual(['follower', 'follower', 'leader']);
  });
});

describe('a session', () => {
  it('creates, reads, changes and removes znodes, and reports why it cannot', async () => {
    const client = await connect();
    await client.ensurePath('/a/b/c');
    await client.ensurePath('/a/b/c');
    await expect(client.create('/a/b', '', 'persistent')).rejects.toMatchObject({ code: 'NODE_EXISTS' });
    await expect(client.getData('/none')).rejects.toMatchObject({ code: 'NO_NODE', path: '/none' });
    const { version } = await client.getData('/a/b/c');
    expect(await client.setData('/a/b/c', 'text', version)).toBe(version + 1);
    await expect(client.setData('/a/b/c', 'late', version)).rejects.toMatchObject({ code: 'BAD_VERSION' });
    expect((await client.getData('/a/b/c')).data.toString()).toBe('text');
    await client.remove('/a/b/c');
    expect(await client.exists('/a/b/c')).toBe(false);
  });

  it('is notified of each change once, and its ephemeral znodes end when it closes', async () => {
    const [watching, other] = [await connect(), await connect({ sessionTimeoutMs: 10_000 })];
    await watching.ensurePath('/watched');
    let changes = 0;
    const watcher = () => (changes += 1);
    await watching.getChildren('/watched', watcher);
    await watching.getChildren('/watched', watcher);
    const made = await other.create('/watched/json.info_', 'x', 'ephemeral-sequential');
    expect(made).toMatch(/^\/watched\/json\.info_[0-9]{10}$/);
    await eventually('the change is heard', () => (changes === 1 ? true : undefined));
    await watching.getChildren('/watched', watcher);
    // Closed, not expired: the session would outlast this wait.
    await other.close();
    await eventually('the end is heard', () => (changes === 2 ? true : undefined), 5_000);
    expect(await watching.getChildren('/watched')).toEqual([]);
  });

  it('survives the death of its server', async () => {
    const client = await connect({ sessionTimeoutMs: 4_000 });
    await client.ensurePath('/survivor');
    const id = client.sessionId;
    let expired = false;
    client.on('expired', () => (expired = true));
    const made = await client.create('/survivor/e', '', 'ephemeral');
    for (const index of [0, 1, 2]) {
      await member(index).kill();
      await eventually('it reads again', async () =>
        (await client.exists(made).catch(() => undefined)) === true ? true : undefined,
      );
      await member(index).restart();
      await eventually('the server is back', async () => {
        const status = await serverStatus(member(index).endpoint).catch(() => undefined);
        return status && status.mode !== 'not-serving' ? true : undefined;
      });
    }
    expect([client.sessionId, expired]).toEqual([id, false]);
  });

  it('leaves a stopped server, although it still accepts connections', async () => {
    // Longer than the others need to replace a stopped leader (5 ticks of 500 ms, and an election).
    const client = await connect({ sessionTimeoutMs: 8_000 });
    let expired = false;
    client.on('expired', () => (expired = true));
    for (const index of [0, 1, 2]) {
      const server = member(index);
      await server.pause();
      try {
        await eventually('it reads again', async () =>
          (await client.exists('/').catch(() => undefined)) === true ? true : undefined,
        );
      } finally {
        server.resume();
      }
    }
    expect(expired).toBe(false);
  });

  it('ends when no server responds for its whole length', async () => {
    const client = await connect();
    const expired = new Promise<number>((resolve) =>
      client.once('expired', () => resolve(performance.now())),
    );
    const waiting = client.getChildren('/');
    await waiting;
    const from = performance.now();
    await Promise.all(ensemble.servers.map((server) => server.pause()));
    try {
      const unanswered = client.exists('/');
      await expect(unanswered).rejects.toMatchObject({ name: 'ZNodeError' });
      const took = (await expired) - from;
      expect(took).toBeGreaterThan(1_000);
      await expect(client.exists('/')).rejects.toMatchObject({ code: 'EXPIRED' });
    } finally {
      for (const server of ensemble.servers) server.resume();
    }
  });

  it('cannot be opened if nothing listens', async () => {
    const from = performance.now();
    await expect(
      connectZooKeeper('127.23.4.9:2181', { sessionTimeoutMs: 2_000, connectTimeoutMs: 300 }),
    ).rejects.toMatchObject({ code: 'ZOOKEEPER_UNREACHABLE', place: { subject: '127.23.4.9:2181' } });
    expect(performance.now() - from).toBeLessThan(2_000);
  });

  it('with a password prevents others from writing, not from reading', async () => {
    const owner = await connect({ digest: 'perijove:secret' });
    await owner.ensurePath('/owned');
    await owner.create('/owned/x', 'data', 'persistent');
    const stranger = await connect();
    expect((await stranger.getData('/owned/x')).data.toString()).toBe('data');
    await expect(stranger.create('/owned/y', '', 'persistent')).rejects.toMatchObject({ code: 'NO_AUTH' });
    const friend = await connect({ digest: 'perijove:secret' });
    await friend.create('/owned/y', '', 'persistent');
  });
});

describe('leadingMaster', () => {
  it('is the candidate with the lowest number, and none without candidates', async () => {
    const client = await connect();
    const at = (zkPath: string) => ({ ...ensemble.spec, mesos: { ...ensemble.spec.mesos, zkPath } });
    expect(await leadingMaster(directReach, at('/nowhere'))).toBeUndefined();
    await client.ensurePath('/m');
    expect(await leadingMaster(directReach, at('/m'))).toBeUndefined();
    const info = (id: string) =>
      JSON.stringify({
        address: { hostname: 'one', ip: '127.0.0.1', port: 15070 },
        hostname: 'one',
        id,
        ip: 16777343,
        pid: 'master@127.0.0.1:15070',
        port: 15070,
        version: '1.3.2',
      });
    const first = await client.create('/m/json.info_', info('first'), 'ephemeral-sequential');
    await client.create('/m/json.info_', info('second'), 'ephemeral-sequential');
    expect(await leadingMaster(directReach, at('/m'))).toEqual({
      address: { hostname: 'one', ip: '127.0.0.1', port: 15070 },
      hostname: 'one',
      id: 'first',
      pid: 'master@127.0.0.1:15070',
      version: '1.3.2',
    });
    await client.remove(first);
    expect(await leadingMaster(directReach, at('/m'))).toMatchObject({ id: 'second' });
  });

  it('orders candidates by number and ignores everything else', () => {
    expect(
      candidates(['log_replicas', 'json.info_0000000010', 'info_0000000001', 'json.info_0000000009']),
    ).toEqual(['json.info_0000000009', 'json.info_0000000010']);
  });
});
