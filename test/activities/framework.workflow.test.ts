/** The activities that start, change and end the framework's workflow, each with its first response lost. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Context } from '@temporalio/activity';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFrameworkActivities } from '../../src/activities/framework.js';
import { frameworkWays } from '../../src/activities/framework-ways.js';
import type { NodeMemory } from '../../src/node/memory.js';
import { makeNodePlan } from '../../src/node/plan.js';
import { createTeardownActivities } from '../../src/activities/teardown.js';
import type { SchedulerInput } from '../../src/activities/scheduler-run.js';
import type { Artifacts } from '../../src/hosts/artifacts.js';
import type { SshPool } from '../../src/ssh/connection.js';
import {
  cordonHost,
  frameworkState,
  markEtcdFormed,
  uncordonHost,
  workflowIds,
} from '../../src/temporal/contract.js';
import { eventually } from '../support/eventually.js';
import { callerOf, losing, type Losing } from '../support/lost-answers.js';
import { makeHost, makeSpec } from '../support/spec.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const noSsh = () => Promise.reject(new Error('no SSH here'));
const noPool: SshPool = { get: noSsh, listen: noSsh, pinned: noSsh, close: () => Promise.resolve() };
const workflowsPath = fileURLToPath(new URL('framework.workflows.ts', import.meta.url));
const spec = makeSpec({ name: 'lost-answers' });

let server: TestServer;
let worker: TestWorker;
let losses: Losing;
let call: ReturnType<typeof callerOf>;
let teardowns = 0;
let marks = 0;
/** What the hosts have kept. */
let remembered: NodeMemory | undefined;
let artifacts: Artifacts;
/** What each scheduler was started with. */
const schedulers: SchedulerInput[] = [];

beforeAll(async () => {
  server = await startTestServer();
  artifacts = {
    programsDir: await mkdtemp(path.join(tmpdir(), 'perijove-release-')),
    nodeBinary: process.execPath,
  };
  await writeFile(path.join(artifacts.programsDir, 'perijove-node.mjs'), 'of this release');
  const deps = { client: server.client, pool: noPool, logger: pino({ level: 'silent' }), artifacts };
  const framework = createFrameworkActivities(deps, {
    ...frameworkWays(deps),
    plan: (spec) => makeNodePlan(spec, artifacts, 'of the secrets'),
    remember: async () => remembered,
    markFormed: async () => void (marks += 1),
  });
  losses = losing({
    ensureFramework: framework.ensureFramework,
    markEtcdFormed: framework.markEtcdFormed,
    stopFramework: framework.stopFramework,
    ...createTeardownActivities(deps),
  });
  worker = await createTestWorker({
    server,
    workflowsPath,
    activities: {
      ...losses.activities,
      // The scheduler's tests cover these with Mesos, also repeated.
      runScheduler: async (input: SchedulerInput) => {
        schedulers.push(input);
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
  await rm(artifacts.programsDir, { recursive: true, force: true });
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

it('ensureFramework has the nodes follow a release with other programs, and a worker alone does not', async () => {
  const other = { ...spec, etcd: { ...spec.etcd, token: 'another' } };
  const { plan } = await handle().query(frameworkState);
  expect(plan?.digests).toHaveLength(spec.nodes.count);
  expect((await handle().query(frameworkState)).plan).toEqual(plan);
  const memo = JSON.stringify((await handle().describe()).memo);
  expect(memo).not.toContain(plan?.digests[0]);

  await writeFile(path.join(artifacts.programsDir, 'perijove-node.mjs'), 'of the next release');
  expect((await handle().query(frameworkState)).plan).toEqual(plan);
  expect(await twice('ensureFramework', { spec: other })).toBe('changed');
  const next = (await handle().query(frameworkState)).plan;
  expect(next).toMatchObject({ common: plan?.common, hosts: plan?.hosts });
  expect(next?.digests).not.toEqual(plan?.digests);
  await eventually(
    'the next scheduler has it',
    () => schedulers.at(-1)?.plan?.digests[0] === next?.digests[0],
  );
});

it('markEtcdFormed marks it for good', async () => {
  expect((await handle().query(frameworkState)).etcdFormed).toBe(false);
  await twice('markEtcdFormed');
  expect((await handle().query(frameworkState)).etcdFormed).toBe(true);
  const updates = await acceptedUpdates();
  expect(updates).toBeGreaterThan(0);
  expect(await twice('markEtcdFormed')).toEqual({ changed: false });
  expect(await acceptedUpdates()).toBe(updates);
  // A host may have been added since.
  expect(marks).toBeGreaterThan(1);
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

it('a framework whose state was lost goes on with what the hosts kept', async () => {
  remembered = { homes: { node0: 'h1' }, launches: 41, etcdFormed: true };
  const other = makeSpec({ name: 'after-a-loss' });
  expect(await call('ensureFramework', { spec: other })).toBe('started');
  const started = server.client.workflow.getHandle(workflowIds.framework(other.name));
  expect(await started.query(frameworkState)).toMatchObject({ tasks: {}, ...remembered });
  // What runs knows better.
  remembered = { homes: { node0: 'h2' }, launches: 3, etcdFormed: false };
  expect(await call('ensureFramework', { spec: other })).toBe('unchanged');
  expect(await started.query(frameworkState)).toMatchObject({ homes: { node0: 'h1' }, launches: 41 });
  await call('stopFramework', { spec: other });
});

describe('a running framework', () => {
  const long = makeSpec({ name: 'long', hosts: [makeHost('h1'), makeHost('h2')] });
  const running = () => server.client.workflow.getHandle(workflowIds.framework(long.name));

  it('closes hosts with an agent to nodes and opens them, each time with another scheduler', async () => {
    remembered = undefined;
    await call('ensureFramework', { spec: long });
    const started = schedulers.length;
    expect(await running().executeUpdate(cordonHost, { args: ['h1'] })).toEqual({ changed: true });
    expect(await running().executeUpdate(cordonHost, { args: ['h1'] })).toEqual({ changed: false });
    expect((await running().query(frameworkState)).cordons).toHaveProperty('h1');
    await eventually('the scheduler was restarted', () => schedulers.length > started);
    await expect(running().executeUpdate(cordonHost, { args: ['h7'] })).rejects.toMatchObject({
      cause: { type: 'UNKNOWN_TARGET' },
    });
    // The spec may have changed; the order stays.
    await call('ensureFramework', { spec: { ...long, etcd: { ...long.etcd, token: 'another' } } });
    expect((await running().query(frameworkState)).cordons).toHaveProperty('h1');
    expect(await running().executeUpdate(uncordonHost, { args: ['h1'] })).toEqual({ changed: true });
    expect(await running().query(frameworkState)).not.toHaveProperty('cordons');
  });

  it('continues as a new run after some 500 events, with the same state', async () => {
    const { runId } = await running().describe();
    const before = await running().query(frameworkState);
    await eventually(
      'a new run has begun',
      async () => {
        await running().executeUpdate(markEtcdFormed);
        return (await running().describe()).runId !== runId;
      },
      60_000,
    );
    const { events } = await server.client.workflow
      .getHandle(workflowIds.framework(long.name), runId)
      .fetchHistory();
    expect(events?.length).toBeLessThan(700);
    expect(await running().query(frameworkState)).toMatchObject({ plan: before.plan, etcdFormed: true });
    await call('stopFramework', { spec: long });
  }, 120_000);
});
