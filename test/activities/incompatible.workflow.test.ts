/** A keeper and a framework that another release began and this one cannot replay: seen, and started again or ended. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Context } from '@temporalio/activity';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createFrameworkActivities } from '../../src/activities/framework.js';
import { frameworkWays } from '../../src/activities/framework-ways.js';
import { createKeeperActivities } from '../../src/activities/keeper.js';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import { makeNodePlan } from '../../src/node/plan.js';
import type { SchedulerInput } from '../../src/activities/scheduler-run.js';
import { observeCluster } from '../../src/status/observe.js';
import {
  frameworkState,
  keeperState,
  taskQueue,
  workflowIds,
  workflowNames,
  type FrameworkState,
  type KeeperState,
} from '../../src/temporal/contract.js';
import { incompatibility } from '../../src/temporal/incompatibility.js';
import { storedState } from '../../src/temporal/running.js';
import { eventually } from '../support/eventually.js';
import { makeSpec } from '../support/spec.js';
import { silentPool } from '../support/ssh-pool.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const otherRelease = fileURLToPath(new URL('../support/other-release.ts', import.meta.url));
const callsPath = fileURLToPath(new URL('../support/call-workflows.ts', import.meta.url));
/** Of the workflows that call activities: their worker stays. */
const callQueue = 'calls';

let server: TestServer;
let caller: TestWorker;
let worker: TestWorker | undefined;
let programsDir: string;
let number = 0;
let spec: ClusterSpec;
const schedulers: SchedulerInput[] = [];

const framework: FrameworkState = {
  tasks: {},
  launches: 12,
  etcdFormed: true,
  frameworkId: 'f-1',
  lease: { run: 4, attempt: 2 },
  cordons: { h2: { at: '2026-01-01T00:00:00.000Z' } },
};
const keeper: KeeperState = { generation: 7, routes: {}, drifts: [], repairs: 0, incidents: [], events: [] };

beforeAll(async () => {
  server = await startTestServer();
  programsDir = await mkdtemp(path.join(tmpdir(), 'perijove-incompatible-'));
  await writeFile(path.join(programsDir, 'perijove-node.mjs'), 'of this release');
  const artifacts = { programsDir, nodeBinary: process.execPath };
  const pool = silentPool('/nowhere');
  const deps = { client: server.client, pool, logger: pino({ level: 'silent' }), artifacts };
  caller = await createTestWorker({
    server,
    taskQueue: callQueue,
    workflowsPath: callsPath,
    activities: {
      ...createFrameworkActivities(deps, {
        ...frameworkWays(deps),
        plan: (spec) => makeNodePlan(spec, artifacts, 'of the secrets'),
      }),
      ...createKeeperActivities(deps),
    },
  });
}, 120_000);
afterAll(async () => {
  await caller?.stop();
  await server?.stop();
  await rm(programsDir, { recursive: true, force: true });
}, 60_000);

/** Runs until it is cancelled. */
async function endless(): Promise<never> {
  return await Context.current().cancelled;
}

const handleOf = (name: 'framework' | 'keeper') =>
  server.client.workflow.getHandle(workflowIds[name](spec.name));

beforeEach(async () => {
  number += 1;
  spec = makeSpec({ name: `misfit-${number}` });
  schedulers.length = 0;
  worker = await createTestWorker({ server, activities: {}, workflowsPath: otherRelease });
  for (const [name, state] of Object.entries({ framework, keeper }) as [
    keyof typeof workflowNames,
    object,
  ][]) {
    await server.client.workflow.start(workflowNames[name], {
      workflowId: name === 'keeper' ? workflowIds.keeper(spec.name) : workflowIds.framework(spec.name),
      taskQueue,
      args: [{ spec, state }],
    });
  }
  await eventually('both have stored their state', async () => {
    const [first, second] = await Promise.all([
      handleOf('framework').describe(),
      handleOf('keeper').describe(),
    ]);
    return [first, second].every((each) => storedState(each) !== undefined && each.historyLength > 20);
  });
  await worker.stop();
  worker = await createTestWorker({
    server,
    activities: {
      watchCluster: endless,
      runScheduler: async (input: SchedulerInput) => {
        schedulers.push(input);
        return await endless();
      },
    },
  });
  for (const name of ['framework', 'keeper'] as const) {
    await handleOf(name).signal('anything');
    await eventually(`${name} is found not to fit`, () =>
      incompatibility(server.client, workflowIds[name](spec.name)).then((found) => found !== undefined),
    );
  }
}, 120_000);
afterEach(async () => {
  for (const name of ['framework', 'keeper'] as const)
    await handleOf(name)
      .terminate()
      .catch(() => undefined);
  await worker?.stop();
}, 60_000);

async function call(name: string): Promise<unknown> {
  return await server.client.workflow.execute('callActivity', {
    workflowId: `call-${name}-${randomUUID()}`,
    taskQueue: callQueue,
    args: [name, { spec }],
  });
}

describe('a history that does not fit the code', () => {
  it('is named by status, with what to do', async () => {
    const pool = silentPool('/nowhere');
    try {
      const { reasons } = await observeCluster({ client: server.client, pool }, { ...spec, hosts: [] });
      for (const name of ['framework', 'keeper'] as const) {
        expect(reasons.join('\n')).toContain(
          `${workflowIds[name](spec.name)} makes no step: its history does not fit the release of its workers (WORKFLOW_INCOMPATIBLE): run \`perijove up\``,
        );
      }
    } finally {
      await pool.close();
    }
  });

  it('does not block a deployment: both go on from their stored state', async () => {
    expect(await call('announceNodes')).toEqual({ changed: false, restarted: true });
    expect(await handleOf('keeper').query(keeperState)).toMatchObject({ generation: 7 });
    expect(await call('ensureKeeper')).toEqual({ changed: false });

    expect(await call('ensureFramework')).toBe('restarted');
    const state = await handleOf('framework').query(frameworkState);
    expect(state).toMatchObject({
      ...framework,
      plan: expect.objectContaining({ digests: expect.any(Array) as unknown }) as unknown,
    });
    // A scheduler of the run before may no longer write.
    await eventually('the scheduler runs', () => schedulers.length > 0);
    expect(schedulers[0]).toMatchObject({
      run: 5,
      plan: expect.objectContaining({ digests: expect.any(Array) as unknown }) as unknown,
    });
    expect(await call('ensureFramework')).toBe('unchanged');
    for (const name of ['framework', 'keeper'] as const) {
      expect(await incompatibility(server.client, workflowIds[name](spec.name))).toBeUndefined();
    }
  }, 120_000);

  it('does not block a teardown: both are ended', async () => {
    expect(await call('stopKeeper')).toEqual({ changed: true });
    expect((await handleOf('keeper').describe()).status.name).toBe('TERMINATED');
    // Mesos cannot be asked here.
    expect(await call('stopFramework')).toEqual({
      tornDown: false,
      reason: 'ZooKeeper has no leading Mesos master',
    });
    expect((await handleOf('framework').describe()).status.name).toBe('TERMINATED');
    expect(await call('stopFramework')).toBeUndefined();
  }, 120_000);
});
