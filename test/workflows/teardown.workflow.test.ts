import { once } from 'node:events';
import { Context } from '@temporalio/activity';
import {
  Client,
  WorkflowFailedError,
  type WorkflowClientInterceptor,
  type WorkflowHandle,
} from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import type { Activities } from '../../src/activities/index.js';
import { startTeardown } from '../../src/cli/teardown.js';
import { createTeardownActivities } from '../../src/activities/teardown.js';
import { PerijoveError } from '../../src/errors/error.js';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { taskQueue, workflowIds, workflowNames, type TeardownResult } from '../../src/temporal/contract.js';
import { record } from '../support/histories.js';
import { SimulatedCluster } from '../support/simulated-cluster.js';
import { makeSpec } from '../support/spec.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

let server: TestServer;
const workers: TestWorker[] = [];

beforeAll(async () => {
  server = await startTestServer();
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});
afterAll(() => server.stop());

/** Everything about other workflows is real. */
async function work(cluster: SimulatedCluster, instead: Partial<Activities> = {}): Promise<void> {
  const pool: SshPool = {
    get: () => Promise.reject(new Error('no host is to be reached')),
    listen: () => Promise.reject(new Error('no host is to be reached')),
    pinned: () => Promise.resolve({}),
    close: () => Promise.resolve(),
  };
  const { checkNoTeardown, cancelDeploy } = createTeardownActivities({ client: server.client, pool });
  const activities = { ...cluster.activities(), checkNoTeardown, cancelDeploy, ...instead };
  workers.push(await createTestWorker({ server, activities }));
}

/** Blocks that call until the returned function is called. */
function holdAt(cluster: SimulatedCluster, held: string): () => void {
  let goOn = () => {};
  const mayGoOn = new Promise<void>((resolve) => (goOn = resolve));
  cluster.before = async (call) => {
    if (call === held) await mayGoOn;
  };
  return goOn;
}

/** Calls back when the server has answered a start of a workflow. */
function clientThatTells(started: () => void): Client {
  const tell: WorkflowClientInterceptor = {
    startWithDetails: async (input, next) => {
      const output = await next(input);
      started();
      return output;
    },
  };
  const { connection } = server;
  return new Client({ connection, namespace: 'default', interceptors: { workflow: [tell] } });
}

function teardown(
  spec: ClusterSpec,
  purge = false,
): Promise<WorkflowHandle<(input: unknown) => Promise<TeardownResult>>> {
  return server.client.workflow.start(workflowNames.teardown, {
    workflowId: workflowIds.teardown(spec.name),
    taskQueue,
    args: [{ spec, purge }],
  });
}

async function failureOf(handle: WorkflowHandle): Promise<unknown> {
  const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
  if (error instanceof WorkflowFailedError) return error.cause;
  throw new Error('the workflow did not fail', { cause: error });
}

it('ends what would repair before it clears the hosts, and reports what it did', async () => {
  const cluster = SimulatedCluster.deployed(makeSpec({ name: 'down' }));
  await work(cluster);
  const handle = await teardown(cluster.spec, true);
  const { changes } = await handle.result();
  await record(handle, 'teardown');
  expect(cluster.calls.slice(0, 3)).toEqual(['checkIdentity', 'stopKeeper', 'stopFramework']);
  expect(cluster.calls.slice(3).sort()).toEqual(['clearHost:h1', 'clearHost:h2', 'clearHost:h3']);
  expect(changes).toEqual(
    expect.arrayContaining([
      { host: 'down', what: 'stopped the keeper' },
      { host: 'down', what: 'tore down the framework' },
      { host: 'h2', what: 'removed everything' },
    ]),
  );
});

it('finds nothing to end the second time', async () => {
  const cluster = SimulatedCluster.deployed(makeSpec({ name: 'twice' }));
  await work(cluster);
  await (await teardown(cluster.spec)).result();
  const { changes } = await (await teardown(cluster.spec)).result();
  expect(changes.map(({ what }) => what)).not.toContain('stopped the keeper');
});

it('clears the other hosts when one cannot be, and fails with that one', async () => {
  const cluster = SimulatedCluster.deployed(makeSpec({ name: 'one-fails' }));
  cluster.before = (call) => {
    if (call === 'clearHost:h1') throw new PerijoveError('DIR_REFUSED', 'h1: no', { host: 'h1' });
  };
  await work(cluster);
  const handle = await teardown(cluster.spec);
  expect(await failureOf(handle)).toMatchObject({
    type: 'DIR_REFUSED',
    details: [{ place: { host: 'h1' } }],
  });
  await record(handle, 'teardown-failed');
  expect(cluster.calls).toEqual(expect.arrayContaining(['clearHost:h2', 'clearHost:h3']));
});

it('continues without a teardown in Mesos', async () => {
  const cluster = SimulatedCluster.deployed(makeSpec({ name: 'no-mesos' }));
  await work(cluster, { stopFramework: async () => ({ tornDown: false, reason: 'no master answers' }) });
  const { changes } = await (await teardown(cluster.spec)).result();
  expect(changes).toContainEqual({
    host: 'no-mesos',
    what: 'stopped the framework without a teardown in Mesos: no master answers',
  });
  expect(cluster.calls).toContain('clearHost:h3');
});

it('cancels the running deployment, and waits until none of it is in progress', async () => {
  const cluster = SimulatedCluster.empty(makeSpec({ name: 'busy' }));
  let deploying = () => {};
  const underWay = new Promise<void>((resolve) => (deploying = resolve));
  cluster.before = async (call) => {
    if (call !== 'ensureSecrets') return;
    deploying();
    await once(Context.current().cancellationSignal, 'abort');
    cluster.calls.push('ensureSecrets ended');
  };
  await work(cluster);
  const deploy = await server.client.workflow.start(workflowNames.deploy, {
    workflowId: workflowIds.deploy('busy'),
    taskQueue,
    args: [{ spec: cluster.spec, digest: 'digest' }],
  });
  await underWay;
  const { changes } = await (await teardown(cluster.spec)).result();
  expect(await failureOf(deploy)).toBeInstanceOf(CancelledFailure);
  expect(changes).toContainEqual({ host: 'busy', what: 'cancelled the deployment' });
  expect(cluster.calls.indexOf('ensureSecrets ended')).toBeLessThan(cluster.calls.indexOf('stopKeeper'));
});

it('is joined by the same command, and by none that removes more, or less', async () => {
  const cluster = SimulatedCluster.deployed(makeSpec({ name: 'joined' }));
  const goOn = holdAt(cluster, 'clearHost:h1');
  await work(cluster);
  const down = (purge: boolean, client = server.client) =>
    startTeardown(client, { spec: cluster.spec, purge }, new AbortController().signal, () => undefined);
  const first = down(false);
  await vi.waitFor(() => expect(cluster.calls).toContain('clearHost:h1'), 20_000);
  await expect(down(true)).rejects.toMatchObject({ code: 'TEARDOWN_RUNNING' });
  const second = down(false, clientThatTells(goOn));
  expect(await first).toEqual(await second);
});

it('blocks the start of a deployment while it runs', async () => {
  const cluster = SimulatedCluster.deployed(makeSpec({ name: 'closing' }));
  const goOn = holdAt(cluster, 'clearHost:h1');
  await work(cluster);
  const handle = await teardown(cluster.spec);
  const deploy = await server.client.workflow.start(workflowNames.deploy, {
    workflowId: workflowIds.deploy('closing'),
    taskQueue,
    args: [{ spec: cluster.spec, digest: 'digest' }],
  });
  expect(await failureOf(deploy)).toMatchObject({ type: 'TEARDOWN_RUNNING' });
  goOn();
  await handle.result();
});
