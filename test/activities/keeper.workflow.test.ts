/** The keeper's activities on a small real cluster; each of them also with its first response lost. */
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKeeperActivities, type KeeperActivities } from '../../src/activities/keeper.js';
import type { ReconcileResult, WatchEvent } from '../../src/keeper/decide.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { keeperState, workflowIds, type KeeperState } from '../../src/temporal/contract.js';
import { eventually } from '../support/eventually.js';
import { startKeeperCluster, type KeeperCluster } from '../support/keeper-cluster.js';
import { callerOf, losing, type Losing } from '../support/lost-answers.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const workflowsPath = fileURLToPath(new URL('../support/keeper-workflows.ts', import.meta.url));
const noSsh = () => Promise.reject(new Error('no SSH here'));
const noPool: SshPool = { get: noSsh, listen: noSsh, pinned: noSsh, close: () => Promise.resolve() };

let server: TestServer;
let cluster: KeeperCluster;
let worker: TestWorker;
let losses: Losing;
let call: <T>(name: keyof KeeperActivities, input: object) => Promise<T>;

beforeAll(async () => {
  server = await startTestServer();
  cluster = await startKeeperCluster({ name: 'activities-test', range: '127.38', nodes: 2, proxies: 2 });
  losses = losing(createKeeperActivities({ client: server.client, pool: noPool }, cluster.ways));
  worker = await createTestWorker({ server, workflowsPath, activities: losses.activities });
  call = callerOf(server);
}, 180_000);
afterAll(async () => {
  await worker?.stop();
  await cluster?.remove();
  await server?.stop();
}, 60_000);

const leaderVerdict = async () => {
  const leader = await cluster.leader();
  const { term } = await cluster.node(leader).etcd.status();
  const others = cluster.nodes.nodes.map(({ name }) => name).filter((name) => name !== leader);
  return { leader, term, live: [leader, ...others] };
};

const running = async () => {
  const states = await Promise.all(
    cluster.nodes.nodes.map(
      async ({ name, control }) => [name, (await control.status()).jupyter.state] as const,
    ),
  );
  return states.filter(([, now]) => now !== 'stopped').map(([name]) => name);
};

describe('reconcile and watch', { timeout: 120_000 }, () => {
  test('reconcile: the effect without the response, then again', async () => {
    const verdict = await leaderVerdict();
    losses.lose('reconcileCluster');
    const input = { spec: cluster.spec, generation: 3, verdict };
    const result = await call<ReconcileResult>('reconcileCluster', input);
    expect(losses.attempts('reconcileCluster')).toBe(2);
    expect(result).toMatchObject({ generation: 3, changes: [], jupyter: verdict.leader, drifts: [] });
    expect(await running()).toEqual([verdict.leader]);
    for (const { client } of cluster.proxies) {
      expect(await client.route()).toMatchObject({ generation: 3, node: verdict.leader });
    }
  });

  test('reconcile: an earlier generation does nothing and reports the current one', async () => {
    const verdict = await leaderVerdict();
    const input = { spec: cluster.spec, generation: 2, verdict };
    const result = await call<ReconcileResult>('reconcileCluster', input);
    expect(result).toMatchObject({ stale: 3, changes: [] });
    expect(await running()).toEqual([verdict.leader]);
  });

  test('watch: an event whose response was lost is reported again', async () => {
    losses.lose('watchCluster');
    const input = { spec: cluster.spec, generation: 3, known: { drifts: [], repairs: 0 } };
    const event = await call<WatchEvent>('watchCluster', input);
    expect(losses.attempts('watchCluster')).toBe(2);
    expect(event).toMatchObject({ kind: 'verdict', verdict: await leaderVerdict() });
  });

  test('watch: names the first thing that differs', async () => {
    const verdict = await leaderVerdict();
    const watching = call<WatchEvent>('watchCluster', {
      spec: cluster.spec,
      generation: 3,
      known: { verdict, drifts: [], repairs: 0 },
    });
    const [proxy] = cluster.proxies;
    if (!proxy) throw new Error('no proxy');
    await proxy.end('SIGKILL');
    await rm(proxy.routeFile);
    await proxy.start();
    // On a busy machine its silence may last so long that it is the first difference.
    const reason = expect.stringMatching(/^the proxy on h1 (has no route|does not respond)$/) as string;
    expect(await watching).toMatchObject({ kind: 'drift', reason, verdict });
  });
});

describe('the keeper as a service', { timeout: 120_000 }, () => {
  const workflowId = workflowIds.keeper('activities-test');

  test('ensureKeeper starts it once, even if the response is lost', async () => {
    losses.lose('ensureKeeper');
    expect(await call('ensureKeeper', { spec: cluster.spec })).toEqual({ changed: true });
    expect(losses.attempts('ensureKeeper')).toBe(2);
    const { runId } = await server.client.workflow.getHandle(workflowId).describe();
    expect(await call('ensureKeeper', { spec: cluster.spec })).toEqual({ changed: false });
    expect((await server.client.workflow.getHandle(workflowId).describe()).runId).toBe(runId);
  });

  test('awaitKeeper resolves when users are served through every host', async () => {
    losses.lose('awaitKeeper');
    const state = await call<KeeperState>('awaitKeeper', { spec: cluster.spec });
    expect(losses.attempts('awaitKeeper')).toBe(2);
    // The generations of the reconciles above are already in use.
    expect(state).toMatchObject({ generation: 4, jupyter: state.verdict?.leader, drifts: [] });
    for (const { client } of cluster.proxies) {
      expect(await client.route()).toMatchObject({ generation: 4 });
      expect(await client.health()).toMatchObject({ answering: true });
    }
  });

  test('awaitKeeper waits for a proxy without a route, and skips one that is gone', async () => {
    const [first, second] = cluster.proxies;
    if (!first || !second) throw new Error('no proxies');
    await second.end('SIGKILL');
    await first.end('SIGKILL');
    await rm(first.routeFile);
    await first.start();
    await call('awaitKeeper', { spec: cluster.spec });
    expect(await first.client.route()).toMatchObject({ generation: 4 });
    await second.start();
  });

  test('proxyMembers reports which proxies respond', async () => {
    const [, second] = cluster.proxies;
    if (!second) throw new Error('no proxies');
    const all = [
      { host: 'h1', state: 'up' },
      { host: 'h2', state: 'up' },
    ];
    expect(await call('proxyMembers', { spec: cluster.spec })).toEqual(all);
    const { pid } = await second.client.health();
    process.kill(pid, 'SIGSTOP');
    try {
      expect(await call('proxyMembers', { spec: cluster.spec })).toEqual([
        all[0],
        { host: 'h2', state: 'unknown' },
      ]);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await second.end('SIGKILL');
    expect(await call('proxyMembers', { spec: cluster.spec })).toEqual([
      all[0],
      { host: 'h2', state: 'down' },
    ]);
    await second.start();
  });

  test('ensureKeeper applies another spec, and reports it', async () => {
    const other = { ...cluster.spec, hosts: cluster.spec.hosts.slice(0, 1) };
    losses.lose('ensureKeeper');
    expect(await call('ensureKeeper', { spec: other })).toEqual({ changed: true });
    expect(losses.attempts('ensureKeeper')).toBe(2);
    await eventually(async () => {
      const state = await server.client.workflow.getHandle(workflowId).query(keeperState);
      return Object.keys(state.routes).join() === 'h1';
    }, 30_000);
    expect(await call('ensureKeeper', { spec: other })).toEqual({ changed: false });
  });

  test('stopKeeper ends it, even if the response is lost, and does nothing when repeated', async () => {
    losses.lose('stopKeeper');
    await call('stopKeeper', { spec: cluster.spec });
    expect(losses.attempts('stopKeeper')).toBe(2);
    const { status } = await server.client.workflow.getHandle(workflowId).describe();
    expect(status.name).toBe('COMPLETED');
    expect(await call('stopKeeper', { spec: cluster.spec })).toEqual({ changed: false });
    const [leader] = await running();
    expect(leader).toBeDefined();
  });
});
