import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Context } from '@temporalio/activity';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PerijoveError } from '../../src/errors/error.js';
import { eventually } from '../support/eventually.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const workflowsPath = new URL('interceptors.workflows.ts', import.meta.url).pathname;
const taskQueue = 'interceptors';

let server: TestServer;
const workers: TestWorker[] = [];

beforeAll(async () => {
  server = await startTestServer();
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});
afterAll(() => server.stop());

async function startWorker(subject: () => Promise<string>): Promise<TestWorker> {
  const worker = await createTestWorker({ server, activities: { subject }, workflowsPath, taskQueue });
  workers.push(worker);
  return worker;
}

function start(tier: 'patient' | 'endless'): Promise<WorkflowHandle> {
  return server.client.workflow.start('once', { args: [tier], taskQueue, workflowId: randomUUID() });
}

async function failureOf(handle: WorkflowHandle): Promise<ApplicationFailure> {
  const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
  if (error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure) return error.cause;
  throw new Error('the workflow did not fail with an ApplicationFailure', { cause: error });
}

describe('errors', () => {
  it('have code, place and remedy, and one attempt when a retry cannot heal them', async () => {
    let attempts = 0;
    await startWorker(async () => {
      attempts += 1;
      throw new PerijoveError('SSH_AUTH_FAILED', 'h2 refused the key', { host: 'h2', remedy: 'another key' });
    });
    const failure = await failureOf(await start('patient'));
    expect(failure).toMatchObject({
      type: 'SSH_AUTH_FAILED',
      message: 'h2 refused the key',
      nonRetryable: true,
      details: [{ place: { host: 'h2' }, remedy: 'another key' }],
    });
    expect(attempts).toBe(1);
  });

  it('are retried when they may heal, and given up after five attempts', async () => {
    let attempts = 0;
    await startWorker(async () => {
      attempts += 1;
      throw new PerijoveError('COMMAND_FAILED', `attempt ${attempts}`);
    });
    expect(await failureOf(await start('patient'))).toMatchObject({
      type: 'COMMAND_FAILED',
      message: 'attempt 5',
    });
    expect(attempts).toBe(5);
  });

  it('are retried without end in an endless activity', async () => {
    let attempts = 0;
    await startWorker(async () => {
      attempts += 1;
      if (attempts < 12) throw new PerijoveError('COMMAND_FAILED', `attempt ${attempts}`);
      return 'healed';
    });
    await expect((await start('endless')).result()).resolves.toBe('healed');
  });

  it('of unknown kind are reported as bugs', async () => {
    await startWorker(async () => {
      throw new TypeError('x is undefined');
    });
    expect(await failureOf(await start('patient'))).toMatchObject({
      type: 'INTERNAL',
      message: 'x is undefined',
    });
  });
});

describe('heartbeats', () => {
  it('keep an activity alive beyond its heartbeat timeout, and repeat what it waits for', async () => {
    await startWorker(async () => {
      Context.current().heartbeat('the agent of h3');
      await new Promise((resolve) => setTimeout(resolve, 7_000));
      return `attempt ${Context.current().info.attempt}`;
    });
    const handle = await start('patient');
    await eventually(async () => {
      const { raw } = await handle.describe();
      const [pending] = raw.pendingActivities ?? [];
      const beatAt = Number(pending?.lastHeartbeatTime?.seconds ?? 0);
      const startedAt = Number(pending?.lastStartedTime?.seconds ?? Infinity);
      const data = pending?.heartbeatDetails?.payloads?.[0]?.data;
      return beatAt - startedAt >= 3 && Buffer.from(data ?? []).toString() === '"the agent of h3"';
    }, 20_000);
    await expect(handle.result()).resolves.toBe('attempt 1');
  });

  it('keep an attempt’s details until a later one has others', async () => {
    const stored = withResolvers();
    await startWorker(async () => {
      const { info, heartbeat } = Context.current();
      if (info.attempt === 3) return String(info.heartbeatDetails);
      if (info.attempt === 1) {
        heartbeat('seen');
        await stored.promise;
      } else {
        // Longer than two heartbeats without new details from the activity.
        await new Promise((resolve) => setTimeout(resolve, 2_500));
      }
      throw new PerijoveError('COMMAND_FAILED', `attempt ${info.attempt}`);
    });
    const handle = await start('patient');
    await eventually('the first heartbeat is stored', async () => {
      const { raw } = await handle.describe();
      return (raw.pendingActivities ?? []).some(({ heartbeatDetails }) => heartbeatDetails);
    });
    stored.resolve();
    await expect(handle.result()).resolves.toBe('seen');
  });

  it('deliver a cancellation to the activity within two seconds', async () => {
    let heard: number | undefined;
    const started = withResolvers();
    await startWorker(async () => {
      started.resolve();
      const { cancellationSignal } = Context.current();
      await once(cancellationSignal, 'abort');
      heard = Date.now();
      throw cancellationSignal.reason;
    });
    const handle = await start('patient');
    await started.promise;
    const cancelledAt = Date.now();
    await handle.cancel();
    const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(WorkflowFailedError);
    expect((error as WorkflowFailedError).cause).toBeInstanceOf(CancelledFailure);
    expect((heard ?? Infinity) - cancelledAt).toBeLessThan(4_000);
  });

  it('report a cancellation as one, whatever the activity throws for it', async () => {
    const started = withResolvers();
    await startWorker(async () => {
      started.resolve();
      await once(Context.current().cancellationSignal, 'abort');
      throw new PerijoveError('SSH_LOST', 'the connection was cut');
    });
    const handle = await start('patient');
    await started.promise;
    await handle.cancel();
    const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
    expect((error as WorkflowFailedError).cause).toBeInstanceOf(CancelledFailure);
  });
});

describe('shutdown', () => {
  it('hands an activity that ignores its signal to another worker at once', async () => {
    const started = withResolvers();
    const first = await startWorker(async () => {
      started.resolve();
      return new Promise<string>(() => undefined);
    });
    const handle = await start('endless');
    await started.promise;
    const second = startWorker(async () => `attempt ${Context.current().info.attempt}`);
    const stoppedAt = Date.now();
    await first.stop();
    workers.splice(workers.indexOf(first), 1);
    await second;
    await expect(handle.result()).resolves.toBe('attempt 2');
    expect(Date.now() - stoppedAt).toBeLessThan(5_000);
  });
});

function withResolvers(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((fulfil) => (resolve = fulfil));
  return { promise, resolve };
}
