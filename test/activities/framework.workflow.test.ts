/** The activities that start, change and end the framework's workflow, each with its first response lost. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Context } from '@temporalio/activity';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createFrameworkActivities } from '../../src/activities/framework.js';
import { createTeardownActivities } from '../../src/activities/teardown.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { frameworkState, workflowIds } from '../../src/temporal/contract.js';
import { callerOf, losing, type Losing } from '../support/lost-answers.js';
import { makeSpec } from '../support/spec.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const noSsh = () => Promise.reject(new Error('no SSH here'));
const noPool: SshPool = { get: noSsh, listen: noSsh, close: () => Promise.resolve() };
const workflowsPath = fileURLToPath(new URL('framework.workflows.ts', import.meta.url));
const spec = makeSpec({ name: 'lost-answers' });

let server: TestServer;
let worker: TestWorker;
let losses: Losing;
let call: ReturnType<typeof callerOf>;
let teardowns = 0;

beforeAll(async () => {
  server = await startTestServer();
  const deps = { client: server.client, pool: noPool, logger: pino({ level: 'silent' }) };
  const { ensureFramework, markEtcdFormed, stopFramework } = createFrameworkActivities(deps);
  losses = losing({ ensureFramework, markEtcdFormed, stopFramework, ...createTeardownActivities(deps) });
  worker = await createTestWorker({
    server,
    workflowsPath,
    activities: {
      ...losses.activities,
      // The scheduler's tests cover these with Mesos, also repeated.
      runScheduler: async () => {
        const { cancellationSignal } = Context.current();
        await once(cancellationSignal, 'abort');
        throw cancellationSignal.reason;
      },
      teardownFramework: async () => {
        teardowns += 1;
      },
    },
  });
  call = callerOf(server);
});
afterAll(async () => {
  await worker?.stop();
  await server?.stop();
});

const acceptedUpdates = async () => {
  const { events } = await handle().fetchHistory();
  return events?.filter((event) => event.workflowExecutionUpdateAcceptedEventAttributes).length;
};
const handle = () => server.client.workflow.getHandle(workflowIds.framework(spec.name));
const twice = async <T>(name: string, input: object = { spec }): Promise<T> => {
  losses.lose(name);
  const answer = await call<T>(name, input);
  expect(losses.attempts(name)).toBe(2);
  return answer;
};

it('ensureFramework starts it once, and reports that again', async () => {
  expect(await twice('ensureFramework')).toBe('started');
  const { runId } = await handle().describe();
  expect(await twice('ensureFramework')).toBe('unchanged');
  expect((await handle().describe()).runId).toBe(runId);
});

it('ensureFramework applies another spec once, and reports that again', async () => {
  const other = { ...spec, etcd: { ...spec.etcd, token: 'another' } };
  expect(await twice('ensureFramework', { spec: other })).toBe('changed');
  expect(await twice('ensureFramework', { spec: other })).toBe('unchanged');
});

it('markEtcdFormed marks it for good', async () => {
  expect((await handle().query(frameworkState)).etcdFormed).toBe(false);
  await twice('markEtcdFormed');
  expect((await handle().query(frameworkState)).etcdFormed).toBe(true);
  const updates = await acceptedUpdates();
  expect(updates).toBeGreaterThan(0);
  expect(await twice('markEtcdFormed')).toEqual({ changed: false });
  expect(await acceptedUpdates()).toBe(updates);
});

it('stopFramework tears it down once', async () => {
  await twice('stopFramework');
  expect((await handle().describe()).status.name).toBe('COMPLETED');
  expect(teardowns).toBe(1);
  expect(await call('stopFramework', { spec })).toBeUndefined();
});

it('checkNoTeardown and cancelDeploy find nothing when nothing runs, also repeated', async () => {
  await twice('checkNoTeardown', { cluster: spec.name });
  expect(await twice('cancelDeploy', { cluster: spec.name })).toEqual({ cancelled: false });
});
