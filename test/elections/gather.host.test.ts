import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { gatherElectionLogs } from '../../src/elections/gather.js';
import { replaysOf } from '../../src/elections/replays.js';
import { nodeLayout } from '../../src/node/layout.js';
import { hostPaths } from '../../src/hosts/paths.js';
import type { ClusterSpec, HostSpec } from '../../src/cluster/spec.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { makeHost, makeSpec } from '../support/spec.js';
import { silentPool } from '../support/ssh-pool.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { text, threeNodes } from './recorded.js';

const fixtures = fileURLToPath(new URL('../fixtures/elections/', import.meta.url));
let sshd: TestSshd;
let directory: string;
let pool: SshPool;
let host: HostSpec;

beforeAll(async () => {
  sshd = await startSshd({ address: '127.92.21.1' });
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-elections-'));
  pool = silentPool(path.join(directory, 'known'));
  host = sshd.host();
  for (const node of threeNodes) await putLog(nodeLog(node), `etcd-three-${node}`);
  await putLog(`${hostPaths(host).log}/zookeeper`, 'zookeeper-h1');
});
afterAll(async () => {
  await pool.close();
  await sshd.remove();
  await rm(directory, { recursive: true, force: true });
});

function nodeLog(node: string): string {
  return `${nodeLayout(hostPaths(host).clusterNode(node)).log}/etcd`;
}

async function putLog(log: string, fixture: string): Promise<void> {
  await mkdir(log, { recursive: true });
  await cp(path.join(fixtures, `${fixture}.log`), `${log}/current`);
}

function specOf(hosts: readonly HostSpec[]): ClusterSpec {
  const spec = makeSpec({ hosts });
  return { ...spec, nodes: { ...spec.nodes, count: 3 } };
}

it('reads the logs of a host as they are', async () => {
  const logs = await gatherElectionLogs(pool, specOf([host]), ['etcd', 'mesos', 'zookeeper']);
  expect(logs.etcd).toEqual(
    threeNodes.map((member) => ({
      member,
      log: {
        known: true,
        value: text(`etcd-three-${member}`).replaceAll(/^.*switched to configuration.*\n/gm, ''),
      },
    })),
  );
  expect(logs.zookeeper).toEqual([{ member: host.name, log: { known: true, value: text('zookeeper-h1') } }]);
  expect(logs.mesos).toMatchObject([{ log: { known: false } }]);
  const { etcd } = replaysOf(specOf([host]), logs, 2);
  expect(etcd.map(({ term, leader }) => [term, leader])).toEqual([
    [5, 'node1'],
    [6, 'node2'],
  ]);
});

it('begins with the rotated logs, and with the first line where nothing was left out', async () => {
  const log = nodeLog('node0');
  const first = '2026-11-01_00:00:00.00000 {"ts":"2026-11-01T00:00:00.000Z","msg":"starting etcd server"}\n';
  await writeFile(`${log}/@400000000000000000000001.s`, first);
  const [node0] = (await gatherElectionLogs(pool, specOf([host]), ['etcd'])).etcd;
  expect(node0?.log.known === true && node0.log.value.startsWith(first)).toBe(true);
  await rm(`${log}/@400000000000000000000001.s`);
});

it('does not know a member that may run on a host that does not answer', async () => {
  const away = makeHost('h9', {
    ...host,
    ...{ name: 'h9', address: '127.92.21.9', ssh: { ...host.ssh, address: '127.92.21.9' } },
  });
  const { etcd, zookeeper } = await gatherElectionLogs(pool, specOf([host, away]), ['etcd', 'zookeeper']);
  // No process of theirs runs on the host that answers.
  expect(etcd.map(({ log }) => log.known)).toEqual([false, false, false]);
  expect(zookeeper.map(({ log }) => log.known)).toEqual([true, false]);
});
