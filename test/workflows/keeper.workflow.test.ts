import { readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { WorkflowHandle } from '@temporalio/client';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKeeperActivities } from '../../src/activities/keeper.js';
import { isSameData } from '../../src/cluster/canonical.js';
import { hostKeysOf, placeOfTarget, withHostKeys } from '../../src/cluster/host-keys.js';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import type { SshPool } from '../../src/ssh/connection.js';
import {
  configureKeeper,
  keeperState,
  memoKeys,
  searchAttributes,
  stopKeeper,
  taskQueue,
  workflowIds,
  workflowNames,
  type KeeperInput,
  type KeeperState,
} from '../../src/temporal/contract.js';
import { eventually } from '../support/eventually.js';
import { record } from '../support/histories.js';
import { startKeeperCluster, type KeeperCluster } from '../support/keeper-cluster.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const workflowsPath = fileURLToPath(new URL('../../src/workflows/keeper.ts', import.meta.url));
/** Nothing here uses SSH. */
const noPool: SshPool = {
  get: () => Promise.reject(new Error('no SSH here')),
  listen: () => Promise.reject(new Error('no SSH here')),
  pinned: () => Promise.resolve({}),
  close: () => Promise.resolve(),
};

let server: TestServer;
let cluster: KeeperCluster;
let worker: TestWorker;
let handle: WorkflowHandle;
const workflowId = workflowIds.keeper('keeper-test');

const startWorker = () =>
  createTestWorker({
    server,
    workflowsPath,
    activities: createKeeperActivities({ client: server.client, pool: noPool }, cluster.ways),
  });

beforeAll(async () => {
  server = await startTestServer();
  cluster = await startKeeperCluster({ name: 'keeper-test', range: '127.26' });
  worker = await startWorker();
  const input: KeeperInput = { spec: cluster.spec };
  handle = await server.client.workflow.start(workflowNames.keeper, { workflowId, taskQueue, args: [input] });
}, 180_000);
afterAll(async () => {
  await worker?.stop();
  await cluster?.remove();
  await server?.stop();
}, 60_000);

const state = () => handle.query(keeperState);

/** Resolves to the state in which Jupyter is on the leader of etcd and nothing drifts. */
async function inLine(
  check: (state: KeeperState) => boolean = () => true,
  timeoutMs = 90_000,
): Promise<KeeperState> {
  let seen: KeeperState | undefined;
  try {
    await eventually(async () => {
      seen = await state();
      const { generation, jupyter, verdict, routes, lostSince } = seen;
      const leader = await cluster.leader();
      return (
        jupyter === leader &&
        verdict?.leader === leader &&
        lostSince === undefined &&
        Object.values(routes).every((route) => route.generation === generation) &&
        check(seen)
      );
    }, timeoutMs);
  } catch (error) {
    throw new Error(`not in line: ${JSON.stringify(seen, null, 1)}`, { cause: error });
  }
  if (!seen) throw new Error('no state');
  return seen;
}

async function expectEveryHostLeadsTo(node: string, generation: number): Promise<void> {
  for (const proxy of cluster.proxies) {
    const serving = { node, target: cluster.target(node) };
    expect(await proxy.client.route()).toMatchObject({ generation, node, serving });
  }
}

async function expectEveryHostServes(generation: number, node: string): Promise<void> {
  await expectEveryHostLeadsTo(node, generation);
  for (const proxy of cluster.proxies) {
    const answer = await request(`${proxy.url}/api/status`, {
      headers: { authorization: `token ${cluster.nodes.jupyterToken}` },
    });
    expect(answer.statusCode).toBe(200);
    await answer.body.dump();
  }
}

async function runningJupyters(): Promise<string[]> {
  const running = await Promise.all(
    cluster.nodes.nodes.map(async ({ name, control }) => {
      const status = await control.status().catch(() => undefined);
      return status && status.jupyter.state !== 'stopped' ? [name] : [];
    }),
  );
  return running.flat();
}

const historyLength = async () => (await handle.describe()).historyLength;

describe('the keeper', { timeout: 240_000 }, () => {
  test('starts Jupyter on the leader, and every host routes to it', async () => {
    const { generation, verdict, drifts, incidents } = await inLine();
    expect(generation).toBe(1);
    expect(drifts).toEqual([]);
    expect(incidents).toEqual([]);
    const leader = verdict?.leader ?? '';
    await expectEveryHostServes(1, leader);
    expect(await runningJupyters()).toEqual([leader]);
    const leaderAddress = cluster.node(leader).address;
    for (const node of cluster.nodes.nodes) {
      expect(await readFile(`${node.layout.base}/etc/hosts`, 'utf8')).toContain(`${leaderAddress}\tnode-0\t`);
    }
  });

  test('can be read while no worker runs, and is found by its attributes', async () => {
    const description = await handle.describe();
    expect(description.memo?.[memoKeys.state]).toMatchObject({ generation: 1 });
    expect(description.searchAttributes[searchAttributes.stage]).toEqual(['serving']);
  });

  test('adds no history while nothing drifts', async () => {
    const before = await historyLength();
    await sleep(20_000);
    expect(await historyLength()).toBe(before);
  });

  test('restores the route of a proxy that lost it', async () => {
    const { generation, verdict, events } = await inLine();
    const before = events[0]?.seq ?? 0;
    const [proxy] = cluster.proxies;
    if (!proxy) throw new Error('no proxy');
    await proxy.end('SIGKILL');
    await rm(proxy.routeFile);
    await proxy.start();
    await eventually(async () => (await proxy.client.route())?.generation === generation, 60_000);
    await expectEveryHostServes(generation, verdict?.leader ?? '');
    // A separate incident, unless etcd's members have missed each other on a busy machine meanwhile.
    await inLine((now) =>
      now.events.some(({ seq, what }) => seq > before && what.includes('route of h1 set to')),
    );
  });

  test('repairs a hosts file that was edited by hand', async () => {
    const { generation } = await inLine();
    const [node] = cluster.nodes.nodes;
    if (!node) throw new Error('no node');
    const file = `${node.layout.base}/etc/hosts`;
    const before = await readFile(file, 'utf8');
    await writeFile(file, before.replace('node-0', 'node-zero').concat('10.1.2.3 mine\n'));
    await eventually(async () => (await readFile(file, 'utf8')).includes('node-0'), 60_000);
    expect(await readFile(file, 'utf8')).toContain('10.1.2.3 mine');
    expect((await inLine()).generation).toBe(generation);
  });

  test('restarts a stopped Jupyter, and stops one that was started elsewhere', async () => {
    const { generation, verdict } = await inLine();
    const { leader = '', term = 0 } = verdict ?? {};
    const other = cluster.nodes.nodes.find(({ name }) => name !== leader);
    if (!other) throw new Error('no other node');
    await other.control.orderJupyter({ generation, term, serve: true });
    await eventually(async () => (await runningJupyters()).join() === leader, 60_000);
    await cluster.node(leader).control.orderJupyter({ generation, term, serve: false }, { waitMs: 10_000 });
    await eventually(
      async () => (await cluster.node(leader).control.status()).jupyter.state === 'ready',
      40_000,
    );
    await expectEveryHostServes((await inLine()).generation, leader);
  });

  test('a missing host is recorded once, adds no history, and is recorded when it is back', async () => {
    const last = cluster.proxies.at(-1);
    if (!last) throw new Error('no proxy');
    await inLine((now) => now.drifts.length === 0);
    await last.end('SIGKILL');
    await inLine((now) =>
      now.drifts.some(({ kind, subject }) => kind === 'proxy-silent' && subject === 'h3'),
    );
    // The pause after the last repair may not be over yet.
    await sleep(3_000);
    const before = await historyLength();
    await sleep(10_000);
    expect(await historyLength()).toBe(before);
    await last.start();
    await inLine((now) => now.drifts.length === 0 && now.routes['h3'] !== undefined);
  });

  test('follows the leader when its node dies: new generation and routes, and the node as a follower', async () => {
    const before = await inLine((now) => now.drifts.length === 0);
    const old = cluster.node(before.verdict?.leader ?? '');
    const killedAt = Date.now();
    await old.crash();
    const detected = eventually(async () => (await state()).generation > before.generation).then(
      () => Date.now() - killedAt,
    );
    const after = await inLine((now) => now.generation > before.generation);
    const servedMs = Date.now() - killedAt;
    const leader = after.verdict?.leader ?? '';
    expect(leader).not.toBe(old.name);
    await expectEveryHostServes(after.generation, leader);
    const [incident] = after.incidents;
    expect(incident?.what).toContain(`${old.name} → ${leader}`);
    console.log(
      `leader killed: new generation known after ${await detected} ms, every host serves after ${servedMs} ms (incident: ${incident?.tookMs} ms)`,
    );

    old.start();
    const back = await inLine((now) => now.drifts.length === 0 && now.verdict?.live.length === 3);
    expect(await runningJupyters()).toEqual([back.jupyter]);
  });

  test('moves nothing while no majority agrees, and reports it', async () => {
    const before = await inLine((now) => now.drifts.length === 0);
    const leader = before.verdict?.leader ?? '';
    const followers = cluster.nodes.nodes.filter(({ name }) => name !== leader);
    await Promise.all(followers.map((node) => node.crash()));
    try {
      await eventually(async () => (await state()).lostSince !== undefined, 60_000);
      const { generation, verdict } = await state();
      expect({ generation, leader: verdict?.leader }).toEqual({ generation: before.generation, leader });
      // The routes stay; but a node without a quorum admits nobody, because another one may serve by now.
      await expectEveryHostLeadsTo(leader, before.generation);
      const length = await historyLength();
      await sleep(5_000);
      expect(await historyLength()).toBe(length);
      expect((await handle.describe()).searchAttributes[searchAttributes.stage]).toEqual(['no-leader']);
    } finally {
      for (const node of followers) node.start();
    }
    const after = await inLine((now) => now.drifts.length === 0);
    await expectEveryHostServes(after.generation, after.jupyter ?? '');
  });

  test('takes over a generation that is already in use', async () => {
    await inLine((now) => now.drifts.length === 0);
    const [proxy] = cluster.proxies;
    const ways = ['http://127.26.9.9:1'];
    await proxy?.client.setRoute({
      generation: 500,
      term: 1,
      node: 'node9',
      nodes: [{ name: 'node9', ways }],
      reflexes: false,
      drainMs: 0,
    });
    const after = await inLine((now) => now.generation > 500 && now.drifts.length === 0);
    await expectEveryHostServes(after.generation, after.jupyter ?? '');
  });

  test('another worker continues the watch', async () => {
    const before = await inLine((now) => now.drifts.length === 0);
    await worker.stop();
    worker = await startWorker();
    const [proxy] = cluster.proxies;
    if (!proxy) throw new Error('no proxy');
    await proxy.end('SIGKILL');
    await rm(proxy.routeFile);
    await proxy.start();
    await eventually(async () => (await proxy.client.route())?.generation === before.generation, 30_000);
  });

  test('continues with a changed spec, and refuses one of another cluster', async () => {
    await inLine((now) => now.drifts.length === 0);
    // Whoever sends the first spec has started it.
    expect(await handle.executeUpdate(configureKeeper, { args: [cluster.spec] })).toEqual({ changed: true });
    expect(await handle.executeUpdate(configureKeeper, { args: [cluster.spec] })).toEqual({ changed: false });
    const fewer = { ...cluster.spec, hosts: cluster.spec.hosts.slice(0, 2) };
    expect(await handle.executeUpdate(configureKeeper, { args: [fewer] })).toEqual({ changed: true });
    await inLine((now) => Object.keys(now.routes).join() === 'h1,h2');
    expect(await handle.executeUpdate(configureKeeper, { args: [cluster.spec] })).toEqual({ changed: true });
    await inLine((now) => Object.keys(now.routes).join() === 'h1,h2,h3');
    const other = { ...cluster.spec, name: 'other' };
    await expect(handle.executeUpdate(configureKeeper, { args: [other] })).rejects.toMatchObject({
      cause: { type: 'SPEC_DIFFERS' },
    });
  });

  test('takes over keys of hosts without a change', async () => {
    const keys = Object.fromEntries(
      cluster.spec.hosts.map(({ ssh }) => [placeOfTarget(ssh), ['ssh-ed25519 AAAA']]),
    );
    const keyed = withHostKeys(cluster.spec, keys);
    expect(keyed).not.toEqual(cluster.spec);
    await handle.executeUpdate(configureKeeper, { args: [cluster.spec] });
    const before = await inLine((now) => now.drifts.length === 0);
    for (const spec of [keyed, cluster.spec]) {
      expect(await handle.executeUpdate(configureKeeper, { args: [spec] })).toEqual({ changed: false });
    }
    await eventually('the watch has the keys', async () => {
      const { events } = await handle.fetchHistory();
      const watched = (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: activity }) =>
        activity?.activityType?.name === 'watchCluster' ? [activity.input?.payloads?.[0]?.data] : [],
      );
      const { spec } = JSON.parse(Buffer.from(watched.at(-1) ?? '').toString()) as { spec: ClusterSpec };
      return isSameData(hostKeysOf(spec.hosts), keys);
    });
    expect((await inLine((now) => now.drifts.length === 0)).generation).toBe(before.generation);
  });

  test('stops on request, and leaves everything unchanged', async () => {
    const { generation, jupyter } = await inLine();
    await handle.executeUpdate(stopKeeper);
    await handle.result();
    await record(handle, 'keeper-life');
    await expectEveryHostServes(generation, jupyter ?? '');
  });
});
