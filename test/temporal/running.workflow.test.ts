import { afterAll, beforeAll, expect, it } from 'vitest';
import { keeperState, taskQueue, type KeeperState } from '../../src/temporal/contract.js';
import { askWithin, isRunning, runningState, storedState } from '../../src/temporal/running.js';
import { createTestWorker, startTestServer, type TestServer } from '../support/temporal.js';

const workflowId = 'keeper:running';
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const answer = () => runningState(server.client, workflowId, keeperState);

it('reads the state of a workflow while it runs, and its memo even without a worker', async () => {
  const { client } = server;
  const handle = client.workflow.getHandle(workflowId);
  await expect(isRunning(client, workflowId)).resolves.toBe(false);
  await expect(answer()).resolves.toBeUndefined();

  const worker = await createTestWorker({
    server,
    activities: {},
    workflowsPath: new URL('../status/observe.workflows.ts', import.meta.url).pathname,
  });
  try {
    await client.workflow.start('keeper', { workflowId, taskQueue });
    await expect(answer()).resolves.toMatchObject({ generation: 8 });
    await expect(isRunning(client, workflowId)).resolves.toBe(true);
  } finally {
    await worker.stop();
  }

  await expect(askWithin(client, 200, answer)).rejects.toThrow();
  const described = await askWithin(client, 5_000, () => handle.describe());
  expect(storedState<KeeperState>(described)).toMatchObject({ generation: 7 });
  expect(storedState({})).toBeUndefined();

  await handle.terminate();
  await expect(isRunning(client, workflowId)).resolves.toBe(false);
  await expect(answer()).resolves.toBeUndefined();
});
