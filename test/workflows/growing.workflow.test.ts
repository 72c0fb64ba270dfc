/** Limits that grow, on a real Temporal server. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Context } from '@temporalio/activity';
import { WorkflowFailedError } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { taskQueue } from '../../src/temporal/contract.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const workflowsPath = fileURLToPath(new URL('growing.workflows.ts', import.meta.url));
let server: TestServer;
let worker: TestWorker | undefined;
/** Of each attempt. */
let limits: number[] = [];

beforeAll(async () => {
  server = await startTestServer();
}, 120_000);
beforeEach(() => void (limits = []));
afterEach(async () => {
  await worker?.stop();
  worker = undefined;
}, 60_000);
afterAll(() => server?.stop());

const work = async (activities: object) =>
  void (worker = await createTestWorker({ server, workflowsPath, activities }));
const run = (workflow: string) =>
  server.client.workflow.execute(workflow, { workflowId: randomUUID(), taskQueue });

it('gives an activity that takes long more time, and the next one as much at once', async () => {
  await work({
    async slow() {
      const { info, cancellationSignal: signal } = Context.current();
      limits.push(info.startToCloseTimeoutMs);
      await sleep(2_500, undefined, { signal });
    },
  });
  await run('takesLong');
  expect(limits).toEqual([1_000, 2_000, 4_000, 4_000]);
}, 60_000);

it('survives a heartbeat that is missed: the next attempt may be silent for longer', async () => {
  await work({
    async slow() {
      limits.push(Context.current().info.heartbeatTimeoutMs ?? 0);
      // As on a starved machine: nothing of the worker runs, its heartbeats neither.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_600);
    },
  });
  await run('isSilent');
  expect(limits).toEqual([1_000, 2_000]);
}, 60_000);

it('repeats nothing that is to be tried once', async () => {
  await work({
    async once() {
      const { info, cancellationSignal: signal } = Context.current();
      limits.push(info.startToCloseTimeoutMs);
      await sleep(5_000, undefined, { signal });
    },
  });
  await expect(run('isTriedOnce')).rejects.toBeInstanceOf(WorkflowFailedError);
  expect(limits).toEqual([1_000]);
}, 60_000);
