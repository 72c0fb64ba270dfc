/** A teardown while a drill runs: the drill heals first, and does not outlive its cluster. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createDrillActivities } from '../../src/activities/drill.js';
import type { Activities } from '../../src/activities/index.js';
import { createTeardownActivities } from '../../src/activities/teardown.js';
import { PerijoveError } from '../../src/errors/error.js';
import type { SshPool } from '../../src/ssh/connection.js';
import {
  memoKeys,
  taskQueue,
  workflowIds,
  workflowNames,
  type Evidence,
  type TeardownResult,
} from '../../src/temporal/contract.js';
import { drillPlan, healed } from '../support/drill.js';
import { eventually } from '../support/eventually.js';
import { record } from '../support/histories.js';
import { SimulatedCluster } from '../support/simulated-cluster.js';
import { makeSpec } from '../support/spec.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

let server: TestServer;
const workers: TestWorker[] = [];

beforeAll(async () => {
  server = await startTestServer();
}, 120_000);
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});
afterAll(() => server?.stop());

const unreachable = () =>
  Promise.reject(new PerijoveError('SSH_TIMEOUT', 'h1 does not respond', { host: 'h1' }));
const pool: SshPool = {
  get: unreachable,
  listen: unreachable,
  pinned: unreachable,
  close: () => Promise.resolve(),
};
const stopped = drillPlan({
  fault: { kind: 'process-signal', host: 'h1', signal: 'STOP', process: { pid: 7, start: 8 } },
});

/** Ends with its cancellation only. */
async function forEver(): Promise<never> {
  await sleep(3_600_000, undefined, { signal: Context.current().cancellationSignal });
  throw new Error('an hour has passed');
}

/** What ends drills, and what heals them, is the real thing; hosts do not respond. */
async function work(
  cluster: SimulatedCluster,
  {
    instead = {},
    drillPatienceMs,
  }: { readonly instead?: Partial<Activities>; readonly drillPatienceMs: number },
): Promise<void> {
  const { client } = server;
  const { cancelDeploy, endDrills } = createTeardownActivities({ client, pool }, { drillPatienceMs });
  const { healFault } = createDrillActivities({ client, pool });
  const activities = {
    ...cluster.activities(),
    cancelDeploy,
    endDrills,
    prepareDrill: async () => stopped,
    injectFault: forEver,
    healFault,
    ...instead,
  };
  workers.push(await createTestWorker({ server, activities }));
}

type DrillHandle = WorkflowHandle<() => Promise<Evidence>>;

const memoOf = async (handle: DrillHandle) => (await handle.describe()).memo?.[memoKeys.state];

/** A drill whose fault is injected. */
async function startDrill({ spec }: SimulatedCluster): Promise<DrillHandle> {
  const handle: DrillHandle = await server.client.workflow.start(workflowNames.drill, {
    workflowId: workflowIds.drill(spec.name, 1),
    taskQueue,
    args: [{ spec, number: 1, drill: 'node-kill' }],
  });
  await eventually('the fault is injected', async () => {
    const { raw } = await handle.describe();
    return raw.pendingActivities?.some(({ activityType }) => activityType?.name === 'injectFault');
  });
  return handle;
}

async function teardown({ spec }: SimulatedCluster) {
  const handle: WorkflowHandle<() => Promise<TeardownResult>> = await server.client.workflow.start(
    workflowNames.teardown,
    { workflowId: workflowIds.teardown(spec.name), taskQueue, args: [{ spec, purge: false }] },
  );
  return { handle, done: async () => (await handle.result()).changes.map(({ what }) => what) };
}

/** A framework that runs, as far as Temporal knows. */
const startFramework = ({ spec }: SimulatedCluster) =>
  server.client.workflow.start(workflowNames.framework, {
    workflowId: workflowIds.framework(spec.name),
    taskQueue: 'nobody',
    args: [{ spec }],
  });

it('heals and ends a running drill before anything else ends', async () => {
  const cluster = SimulatedCluster.deployed(makeSpec({ name: 'drilled-down' }));
  const healFault = async () => {
    cluster.calls.push('healFault');
    return healed();
  };
  await work(cluster, { drillPatienceMs: 60_000, instead: { healFault } });
  const drill = await startDrill(cluster);
  const { handle, done } = await teardown(cluster);
  expect(await done()).toContain('ended drill 1 (node-kill of node0)');
  await record(handle, 'teardown-drill');
  // The drill's own, and that of the teardown.
  expect(cluster.calls.slice(0, 2)).toEqual(['checkIdentity', 'checkIdentity']);
  expect(cluster.calls.slice(2, 5)).toEqual(['healFault', 'stopKeeper', 'stopFramework']);
  expect((await drill.describe()).status.name).not.toBe('RUNNING');
  expect(await memoOf(drill)).toMatchObject({ phase: 'cancelled', unhealed: false });
});

it('says what could not be healed in time, and the healing ends with the cluster', async () => {
  const cluster = SimulatedCluster.deployed(makeSpec({ name: 'drilled-away' }));
  const framework = await startFramework(cluster);
  cluster.before = async (call) => {
    if (call === 'stopFramework') await framework.terminate();
  };
  await work(cluster, { drillPatienceMs: 3_000 });
  const drill = await startDrill(cluster);
  const { done } = await teardown(cluster);
  expect(await done()).toContain(
    'the fault of drill 1 (node-kill of node0) is not healed: h1 does not respond',
  );
  const error: unknown = await drill.result().catch((thrown: unknown) => thrown);
  expect(error instanceof WorkflowFailedError && error.cause).toMatchObject({
    type: 'CLUSTER_TORN_DOWN',
    message: 'the cluster was torn down before this was healed: SIGSTOP to process 7 on h1',
  });
  expect(await memoOf(drill)).toMatchObject({ phase: 'failed', unhealed: true });
});

it('refuses a drill while it runs', async () => {
  const cluster = SimulatedCluster.deployed(makeSpec({ name: 'drilled-late' }));
  let goOn = () => {};
  const mayGoOn = new Promise<void>((resolve) => (goOn = resolve));
  cluster.before = async (call) => {
    if (call === 'stopKeeper') await mayGoOn;
  };
  const { prepareDrill } = createDrillActivities({ client: server.client, pool });
  await work(cluster, { drillPatienceMs: 3_000, instead: { prepareDrill } });
  const { done } = await teardown(cluster);
  try {
    const drill = await server.client.workflow.start(workflowNames.drill, {
      workflowId: workflowIds.drill(cluster.spec.name, 1),
      taskQueue,
      args: [{ spec: cluster.spec, number: 1, drill: 'node-kill' }],
    });
    const error: unknown = await drill.result().catch((thrown: unknown) => thrown);
    expect(error instanceof WorkflowFailedError && error.cause).toMatchObject({ type: 'TEARDOWN_RUNNING' });
  } finally {
    goOn();
  }
  await done();
});
