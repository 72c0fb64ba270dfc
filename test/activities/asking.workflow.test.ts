/** Activities that ask a workflow whose worker fails or is away: they wait, once, and do not fail. */
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createFrameworkActivities } from '../../src/activities/framework.js';
import { createKeeperActivities } from '../../src/activities/keeper.js';
import {
  frameworkState,
  workflowIds,
  type FrameworkState,
  type KeeperState,
} from '../../src/temporal/contract.js';
import { eventually } from '../support/eventually.js';
import { makeSpec } from '../support/spec.js';
import { silentPool } from '../support/ssh-pool.js';
import { startWithStates } from '../support/stored-states.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const workflowsPath = fileURLToPath(new URL('asking.workflows.ts', import.meta.url));
const failingPath = fileURLToPath(new URL('../support/failing-workflows.ts', import.meta.url));
/** Of the workflows that call activities: their worker stays. */
const callQueue = 'calls';

let server: TestServer;
let client: Client;
let caller: TestWorker;
let workers: TestWorker[] = [];
let number = 0;
/** No host is reached. */
let spec = makeSpec({ name: 'asked', hosts: [] });

beforeAll(async () => {
  server = await startTestServer();
  client = server.client;
  const pool = silentPool('/nowhere');
  const artifacts = { programsDir: '/nowhere', nodeBinary: process.execPath };
  const deps = { client, pool, logger: pino({ level: 'silent' }), artifacts };
  caller = await createTestWorker({
    server,
    taskQueue: callQueue,
    workflowsPath,
    activities: { ...createFrameworkActivities(deps), ...createKeeperActivities(deps) },
  });
}, 120_000);
afterAll(async () => {
  await caller?.stop();
  await server?.stop();
}, 60_000);

beforeEach(async () => {
  number += 1;
  spec = makeSpec({ name: `asked-${number}`, hosts: [] });
  const framework: FrameworkState = { tasks: {}, launches: 0, etcdFormed: false };
  const keeper: KeeperState = {
    generation: 1,
    routes: {},
    drifts: [],
    repairs: 0,
    incidents: [],
    events: [],
  };
  await startWithStates(client, spec.name, { framework, keeper });
}, 60_000);
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
}, 60_000);

async function work(path: string): Promise<void> {
  workers.push(await createTestWorker({ server, activities: {}, workflowsPath: path }));
}

async function nobodyWorks(): Promise<void> {
  await Promise.all(workers.map((worker) => worker.stop()));
  workers = [];
}

/** Until Temporal answers for a workflow that its workflow task is in failed state. */
async function failedState(name: 'framework' | 'keeper'): Promise<void> {
  const handle = client.workflow.getHandle(workflowIds[name](spec.name));
  await eventually(
    `the workflow task of ${handle.workflowId} has failed`,
    async () => {
      // Whichever attempt is under way: the pauses between them are short at first.
      const task = (await handle.describe()).raw.pendingWorkflowTask;
      return (task?.attempt ?? 0) >= 3;
    },
    120_000,
  );
}

/** Calls an activity; its answer, and what it says meanwhile. */
async function call(name: string) {
  const handle = await client.workflow.start('callActivity', {
    workflowId: `call-${name}-${randomUUID()}`,
    taskQueue: callQueue,
    args: [name, { spec }],
  });
  const pending = async () => (await handle.describe()).raw.pendingActivities?.[0];
  return {
    answer: handle.result() as Promise<unknown>,
    waits: () =>
      eventually(
        `${name} waits, and says for whom`,
        async () => {
          const activity = await pending();
          // Before it said anything, a failed attempt would be another way to wait.
          expect(activity?.attempt ?? 1).toBe(1);
          const data = activity?.heartbeatDetails?.payloads?.[0]?.data;
          const said: unknown = data ? JSON.parse(Buffer.from(data).toString()) : undefined;
          return (
            typeof said === 'string' && /^(keeper|framework):\S+ is not answering yet: /.test(said) && said
          );
        },
        60_000,
      ),
  };
}

it('waits for a workflow whose workflow task fails, and goes on when another worker has it', async () => {
  await work(failingPath);
  await failedState('framework');
  const marking = await call('markEtcdFormed');
  expect(await marking.waits()).toContain('its last step failed or timed out');
  await nobodyWorks();
  await work(workflowsPath);
  expect(await marking.answer).toEqual({ changed: true });
  const handle = client.workflow.getHandle(workflowIds.framework(spec.name));
  expect(await handle.query(frameworkState)).toMatchObject({ etcdFormed: true });
}, 240_000);

it('waits for a workflow that no worker has, also with an update', async () => {
  await work(workflowsPath);
  await client.workflow.getHandle(workflowIds.framework(spec.name)).query(frameworkState);
  await nobodyWorks();
  const stopping = await call('stopKeeper');
  await stopping.waits();
  await work(workflowsPath);
  expect(await stopping.answer).toEqual({ changed: true });
}, 240_000);
