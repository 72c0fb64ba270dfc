/** What real servers log when their data are damaged, and when they only need time. */
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { brokenDataSign } from '../../src/zookeeper/broken-data.js';
import { connectZooKeeper } from '../../src/zookeeper/client.js';
import { zookeeperPaths } from '../../src/zookeeper/items.js';
import { eventually } from '../support/eventually.js';
import { startEnsemble, type TestEnsemble, type TestServer } from '../support/zookeeper.js';

let ensemble: TestEnsemble;
let victim: TestServer;
let data: string;
let logFile: string;

beforeAll(async () => {
  ensemble = await startEnsemble(['127.22.15.1', '127.22.15.2', '127.22.15.3']);
  const client = await connectZooKeeper(ensemble.connect, {
    sessionTimeoutMs: 10_000,
    connectTimeoutMs: 20_000,
  });
  for (let count = 0; count < 5; count++) await client.create(`/znode-${count}`, 'x', 'persistent');
  await client.close();
  [, , victim] = ensemble.servers as [TestServer, TestServer, TestServer];
  const host = ensemble.spec.hosts[2];
  if (host === undefined) throw new Error('no host');
  data = path.join(zookeeperPaths(host).data, 'version-2');
  logFile = path.join(zookeeperPaths(host).data, 'server.log');
});
afterAll(() => ensemble.close());

/** The log as svlogd keeps it. */
const kept = () => {
  const now = new Date().toISOString().replace('T', '_').replace('Z', '');
  return readFileSync(logFile, 'utf8').replaceAll(/^/gm, `${now} `);
};

/** Starts the server until it has ended, as its supervisor does. */
async function startTwice(): Promise<void> {
  for (let time = 0; time < 2; time++) {
    await victim.restart();
    const { pid } = victim;
    await eventually('it has ended', () => !runs(pid), 20_000);
  }
}

function runs(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

const newest = (prefix: string) =>
  path.join(
    data,
    readdirSync(data)
      .filter((name) => name.startsWith(prefix))
      .sort((a, b) => parseInt(a.split('.')[1] ?? '0', 16) - parseInt(b.split('.')[1] ?? '0', 16))
      .at(-1) ?? '',
  );

describe('a server', () => {
  it.each<[string, () => void, RegExp]>([
    ['whose log is empty', () => truncateSync(newest('log.'), 0), /EOFException/],
    [
      'whose log has another beginning',
      () => writeFileSync(newest('log.'), Buffer.alloc(4096, 7)),
      /has invalid magic number/,
    ],
    [
      'whose snapshots are torn',
      () => {
        for (const name of readdirSync(data))
          if (name.startsWith('snapshot.')) truncateSync(path.join(data, name), 20);
      },
      /No snapshot found, but there are log entries/,
    ],
    [
      'whose epoch went back',
      () => writeFileSync(path.join(data, 'currentEpoch'), '0'),
      /The current epoch, 0, is older than/,
    ],
  ])('%s reports that at each start', async (_what, damage, words) => {
    await victim.kill();
    rmSync(data, { recursive: true, force: true });
    await victim.restart();
    const { host, port } = victim.endpoint;
    const client = await eventually('it serves', () =>
      connectZooKeeper(`${host}:${port}`, { sessionTimeoutMs: 10_000, connectTimeoutMs: 2_000 }),
    );
    await client.create(`/more-${Date.now()}`, 'x', 'persistent');
    await client.close();
    await victim.kill();
    damage();
    writeFileSync(logFile, '');
    await startTwice();
    expect(brokenDataSign(kept(), Date.now())).toMatch(words);
    expect(brokenDataSign(kept(), Date.now() + 3_600_000)).toBeUndefined();
  });

  it('that waits for the others reports nothing of the kind', async () => {
    rmSync(data, { recursive: true, force: true });
    writeFileSync(logFile, '');
    const [first, second] = ensemble.servers;
    await Promise.all([first?.kill(), second?.kill()]);
    await victim.restart();
    await eventually('it looks for a leader', () => /LOOKING/.test(readFileSync(logFile, 'utf8')));
    expect(brokenDataSign(kept(), Date.now())).toBeUndefined();
  });
});
