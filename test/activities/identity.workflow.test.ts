/** The identity of clusters on hosts behind a real sshd, and in the keeper of a real Temporal server. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ApplicationFailure, type ActivityFailure } from '@temporalio/common';
import { WorkflowFailedError } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createIdentityActivities, type CheckedIdentity } from '../../src/activities/identity.js';
import { createKeeperActivities } from '../../src/activities/keeper.js';
import { withHostKeys, type HostKeys } from '../../src/cluster/host-keys.js';
import { placesOf } from '../../src/cluster/identity.js';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import type { Change } from '../../src/hosts/items.js';
import {
  memoKeys,
  stopKeeper,
  taskQueue,
  workflowIds,
  workflowNames,
  type FrameworkInput,
} from '../../src/temporal/contract.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { eventually } from '../support/eventually.js';
import { callWorkflows } from '../support/lost-answers.js';
import { makeSpec } from '../support/spec.js';
import { fingerprintOf, startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const proposed = '6f3b1f0e-5a49-4f55-8f0e-0d6f6a1b2c3d';
const another = '0a4d8a52-9c1b-4d7e-9d5e-3f0a1b2c3d4e';
const callQueue = 'calls';
const workers: TestWorker[] = [];
let server: TestServer;
let sshd: TestSshd;
let local: string;
let pool: SshPool;
const pools = new Map<string, SshPool>();
let count = 0;

beforeAll(async () => {
  local = await mkdtemp(path.join(tmpdir(), 'perijove-identity-'));
  [server, sshd] = await Promise.all([startTestServer(), startSshd({ address: '127.22.33.1' })]);
  pool = silentPool(path.join(local, 'known'));
  const deps = { client: server.client, pool };
  const activities = {
    ...createIdentityActivities(deps),
    ...createKeeperActivities(deps),
    runScheduler: () => Promise.reject(ApplicationFailure.nonRetryable('there is no Mesos here')),
  };
  workers.push(
    await createTestWorker({ server, activities }),
    await createTestWorker({ server, activities, taskQueue: callQueue, workflowsPath: callWorkflows }),
  );
}, 120_000);
afterEach(async () => {
  for await (const { workflowId } of server.client.workflow.list({
    query: 'WorkflowType = "keeper" AND ExecutionStatus = "Running"',
  })) {
    await server.client.workflow.getHandle(workflowId).executeUpdate(stopKeeper);
  }
}, 60_000);
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.stop()));
  await Promise.all([pool, ...pools.values()].map((each) => each.close()));
  await sshd?.remove();
  await server?.stop();
  await rm(local, { recursive: true, force: true });
}, 60_000);

/** Three hosts of their own, without a base directory. */
function spec(name: string): ClusterSpec {
  count += 1;
  const hosts = ['h1', 'h2', 'h3'].map((host) =>
    sshd.host({ name: host, dir: path.join(local, String(count), host) }),
  );
  return makeSpec({ name, hosts });
}

function call<T>(name: string, input: object, queue = callQueue): Promise<T> {
  return server.client.workflow.execute('callActivity', {
    workflowId: `call-${name}-${crypto.randomUUID()}`,
    taskQueue: queue,
    args: [name, input],
  }) as Promise<T>;
}

/** By a worker with known keys of its own, which has none at first. */
async function checkBy(worker: string, of: ClusterSpec, seen?: HostKeys): Promise<CheckedIdentity> {
  if (!pools.has(worker)) {
    const own = silentPool(path.join(local, `known-${worker}`));
    pools.set(worker, own);
    const activities = createIdentityActivities({ client: server.client, pool: own });
    workers.push(
      await createTestWorker({ server, activities, taskQueue: worker, workflowsPath: callWorkflows }),
    );
  }
  return call('checkIdentity', { spec: of, ...(seen && { seen }) }, worker);
}
const check = async (of: ClusterSpec) => {
  const { id, isMarked } = await call<CheckedIdentity>('checkIdentity', { spec: of });
  return { ...(id !== undefined && { id }), isMarked };
};
const publicKey = async () =>
  (await readFile(path.join(sshd.dir, 'host_key.pub'), 'utf8')).split(' ').slice(0, 2).join(' ');
const claim = (of: ClusterSpec, id: string) =>
  call<{ readonly id: string; readonly changes: readonly Change[] }>('claimHosts', {
    spec: of,
    proposed: id,
  });
const keep = (of: ClusterSpec, id: string) =>
  call('ensureKeeper', { spec: of, identity: { id, places: placesOf(of) } });

async function codeOf(work: Promise<unknown>): Promise<string | null | undefined> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof WorkflowFailedError)) throw new Error('it did not fail', { cause: error });
  const failure = (error.cause as ActivityFailure).cause;
  return failure instanceof ApplicationFailure ? failure.type : undefined;
}

it('makes an ID once, and keeps it on every host', async () => {
  const demo = spec('once');
  expect(await check(demo)).toEqual({ isMarked: false });
  const first = await claim(demo, proposed);
  expect(first.id).toBe(proposed);
  expect(first.changes.map(({ host }) => host)).toEqual(['h1', 'h2', 'h3']);
  expect(await claim(demo, another)).toEqual({ id: proposed, changes: [] });
  expect(await check(demo)).toEqual({ id: proposed, isMarked: true });
  const [h1] = demo.hosts;
  expect(JSON.parse(await readFile(path.join(h1?.dir ?? '', 'etc', 'cluster'), 'utf8'))).toEqual({
    name: 'once',
    id: proposed,
  });
});

it('every worker demands the keys that the command line, the deployment or the first worker saw', async () => {
  const demo = spec('keyed');
  const place = `${sshd.address}:${sshd.port}`;
  const key = await publicKey();
  const seenFirst = await checkBy('first', demo);
  expect(seenFirst).toEqual({
    isMarked: false,
    hostKeys: { [place]: [key] },
    firstSeen: [`${place} ${await fingerprintOf(path.join(sshd.dir, 'host_key.pub'))}`],
  });
  expect(await checkBy('other', demo, { [place]: [key] })).toEqual({
    isMarked: false,
    hostKeys: { [place]: [key] },
  });
  const keyed = withHostKeys(demo, { [place]: [key] });
  // The keys of the spec are its own.
  expect(await checkBy('other', keyed)).toEqual({ isMarked: false });

  const framework = await server.client.workflow.start(workflowNames.framework, {
    workflowId: workflowIds.framework('keyed'),
    taskQueue,
    args: [{ spec: keyed } satisfies FrameworkInput],
  });
  try {
    await eventually(async () => (await framework.describe()).memo?.[memoKeys.hosts] !== undefined);
    expect(await checkBy('other', demo)).toMatchObject({ hostKeys: { [place]: [key] } });
    await sshd.changeHostKey();
    // Neither what a new worker sees nor what a command line saw counts for more than the deployment.
    const seen = { [place]: [await publicKey()] };
    const refused = await checkBy('third', demo, seen);
    expect(refused).toEqual({ isMarked: false, hostKeys: { [place]: [key] } });
    expect(await codeOf(call('claimHosts', { spec: keyed, proposed }))).toBe('SSH_HOST_KEY_CHANGED');
    // The spec does.
    expect(await checkBy('third', withHostKeys(demo, seen))).toEqual({ isMarked: false });
    expect(await claim(withHostKeys(demo, seen), proposed)).toMatchObject({ id: proposed });
  } finally {
    await framework.terminate();
    await rm(path.join(local, 'known'), { recursive: true, force: true });
    await sshd.changeHostKey();
  }
});

it('refuses a second cluster of the name while the first one runs, before its hosts are touched', async () => {
  const first = spec('twice');
  const second = spec('twice');
  await claim(first, proposed);
  await keep(first, proposed);
  expect(await codeOf(check(second))).toBe('CLUSTER_NAME_TAKEN');
  expect(await codeOf(claim(second, another))).toBe('CLUSTER_NAME_TAKEN');
  for (const { dir } of second.hosts) await expect(readFile(dir)).rejects.toMatchObject({ code: 'ENOENT' });
  expect(await check(first)).toEqual({ id: proposed, isMarked: true });
});

it('the keeper refuses the spec of another cluster, which was deployed while no keeper ran', async () => {
  const first = spec('raced');
  await keep(first, proposed);
  expect(await codeOf(keep(spec('raced'), another))).toBe('CLUSTER_NAME_TAKEN');
});

it('gives a keeper from before its ID, without a change', async () => {
  const demo = spec('before');
  await call('ensureKeeper', { spec: demo });
  expect(await check(demo)).toEqual({ isMarked: false });
  await claim(demo, proposed);
  expect(await keep(demo, proposed)).toEqual({ changed: false });
  expect(await codeOf(check(spec('before')))).toBe('CLUSTER_NAME_TAKEN');
});

it('finds the ID on the hosts when Temporal knows nothing, and in Temporal when the hosts are new', async () => {
  const demo = spec('found');
  await claim(demo, proposed);
  expect((await check(demo)).id).toBe(proposed);
  await keep(demo, proposed);
  await Promise.all(demo.hosts.map(({ dir }) => rm(dir, { recursive: true })));
  expect(await check(demo)).toEqual({ id: proposed, isMarked: false });
  expect((await claim(demo, another)).id).toBe(proposed);
});

it('refuses a host of another cluster', async () => {
  const owner = spec('owner');
  await claim(owner, proposed);
  const thief = { ...owner, name: 'thief' };
  expect(await codeOf(check(thief))).toBe('CLUSTER_HOSTS_TAKEN');
  expect(await codeOf(claim(thief, another))).toBe('CLUSTER_HOSTS_TAKEN');
});

it('makes no ID while a host cannot be read that may have one', async () => {
  const demo = spec('unread');
  const [h1, h2, h3] = demo.hosts;
  if (h1 === undefined || h2 === undefined || h3 === undefined) throw new Error('three hosts');
  await mkdir(h3.dir, { recursive: true });
  const damaged = path.join(h3.dir, 'etc');
  await mkdir(path.join(damaged, 'cluster'), { recursive: true });
  expect(await check(demo)).toEqual({ isMarked: false });
  expect(await codeOf(claim(demo, proposed))).toBe('COMMAND_FAILED');
  for (const { dir } of [h1, h2]) await expect(readFile(dir)).rejects.toMatchObject({ code: 'ENOENT' });
});
