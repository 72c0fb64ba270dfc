/** Builds of workers on a real server: what is current, what is pinned, and how it moves. */
import { Context } from '@temporalio/activity';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  frameworkState,
  keeperState,
  workflowIds,
  workflowNames,
  type FrameworkInput,
  type KeeperInput,
} from '../../src/temporal/contract.js';
import { lasting as lastingOptions } from '../../src/temporal/options.js';
import { lastingOf, renew } from '../../src/temporal/renewal.js';
import { startOptions } from '../../src/temporal/start-options.js';
import {
  deploymentName,
  makeCurrent,
  observeVersions,
  pinnedTo,
  serverVersions,
  workersOf,
  type Build,
} from '../../src/temporal/versions.js';
import { adopt, mayTake } from '../../src/worker/adoption.js';
import { eventually } from '../support/eventually.js';
import { makeSpec } from '../support/spec.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

let server: TestServer;
let workers: TestWorker[] = [];
let number = 0;
let cluster = '';
const { signal } = new AbortController();

beforeAll(async () => {
  server = await startTestServer();
}, 120_000);
afterAll(() => server?.stop(), 60_000);
beforeEach(() => {
  number += 1;
  cluster = `renewed-${number}`;
});
afterEach(async () => {
  for (const id of [workflowIds.keeper(cluster), workflowIds.framework(cluster)]) {
    await server.client.workflow
      .getHandle(id)
      .terminate()
      .catch(() => undefined);
  }
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
}, 60_000);

/** Runs until it is cancelled. */
async function endless(): Promise<never> {
  return await Context.current().cancelled;
}

async function work(build: Build): Promise<TestWorker> {
  const worker = await createTestWorker({
    server,
    activities: { watchCluster: endless, runScheduler: endless },
    ...(build !== null && {
      options: {
        workerDeploymentOptions: {
          version: { deploymentName, buildId: build },
          useWorkerVersioning: true as const,
          defaultVersioningBehavior: 'AUTO_UPGRADE' as const,
        },
      },
    }),
  });
  workers.push(worker);
  await eventually(`${build} asks for work`, async () => {
    const versions = await observeVersions(server.client);
    return workersOf(versions, build).length > 0 && (build === null || versions.token !== undefined);
  });
  return worker;
}

async function leave(worker: TestWorker): Promise<void> {
  workers = workers.filter((each) => each !== worker);
  await worker.stop();
}

async function choose(build: Build): Promise<void> {
  await eventually(`${build} is current`, async () => {
    const versions = await observeVersions(server.client);
    if (versions.current === build) return true;
    await makeCurrent(server.client, build, 'test', versions).catch(() => undefined);
    return false;
  });
}

async function startBoth(): Promise<void> {
  const spec = makeSpec({ name: cluster });
  for (const name of ['framework', 'keeper'] as const) {
    const input: FrameworkInput & KeeperInput = { spec };
    await server.client.workflow.start(workflowNames[name], {
      workflowId: workflowIds[name](cluster),
      args: [input],
      ...lastingOptions,
      ...startOptions(cluster, name),
    });
  }
}

const describeRun = (id: string) => server.client.workflow.getHandle(id).describe();
const pins = async () =>
  (await Promise.all(lastingOf(cluster).map(({ workflowId }) => describeRun(workflowId)))).map(pinnedTo);
const pinnedBoth = (build: string) =>
  eventually(`both are pinned to ${build}`, async () => (await pins()).every((pin) => pin === build), 30_000);

async function renewBoth(build: Build) {
  const versions = await observeVersions(server.client);
  return await Promise.all(
    lastingOf(cluster).map((each) => renew(server.client, each, { build, versions, signal })),
  );
}

async function answer(): Promise<void> {
  const { workflow } = server.client;
  await expect(workflow.getHandle(workflowIds.keeper(cluster)).query(keeperState)).resolves.toBeDefined();
  await expect(
    workflow.getHandle(workflowIds.framework(cluster)).query(frameworkState),
  ).resolves.toBeDefined();
}

it('runs on a server that tells builds apart', async () => {
  expect(await serverVersions(server.client)).toMatchObject({ supported: true });
});

describe('framework and keeper', () => {
  it('stay with their build while it has workers, and move by new runs when another one is promoted', async () => {
    await work('1-a');
    await choose('1-a');
    await startBoth();
    await pinnedBoth('1-a');
    await work('1-b');
    await choose('1-b');
    await answer();
    expect(await pins()).toEqual(['1-a', '1-a']);
    const before = await describeRun(workflowIds.keeper(cluster));
    expect(await renewBoth('1-b')).toEqual(['moved', 'moved']);
    await pinnedBoth('1-b');
    await answer();
    expect((await describeRun(workflowIds.keeper(cluster))).runId).not.toBe(before.runId);
    // Again: nothing to do.
    expect(await renewBoth('1-b')).toEqual(['there', 'there']);
  }, 120_000);

  it('move to the current build although no worker of theirs is left', async () => {
    const old = await work('2-a');
    await choose('2-a');
    await startBoth();
    await pinnedBoth('2-a');
    await leave(old);
    await work('2-b');
    await choose('2-b');
    expect(await renewBoth('2-b')).toEqual(['moved', 'moved']);
    await pinnedBoth('2-b');
    await answer();
  }, 180_000);

  it('of a release without versions move to one with, and back by new runs', async () => {
    await choose(null);
    const old = await work(null);
    await startBoth();
    await answer();
    await work('3-a');
    await choose('3-a');
    expect(await renewBoth('3-a')).toEqual(['moved', 'moved']);
    await pinnedBoth('3-a');
    await choose(null);
    expect(await renewBoth(null)).toEqual(['moved', 'moved']);
    await eventually('the old worker has them', async () => {
      await answer();
      return (await pins()).every((pin) => pin === undefined);
    });
    await leave(old);
  }, 120_000);
});

describe('a worker', () => {
  it('takes over from a build without workers, and from none that has some', async () => {
    const token = new Uint8Array();
    const poller = (build: Build) => ({ identity: '1@h', at: Date.now(), build });
    const seen = (current: Build, polling: readonly Build[], isDecided = true) => ({
      current,
      isDecided,
      token,
      builds: polling.map((build) => ({ build, workers: [poller(build)] })),
    });
    const gone = seen('a', ['b']);
    expect(mayTake(gone, gone, 'b')).toBe(true);
    expect(mayTake(gone, undefined, 'b')).toBe(false);
    expect(mayTake(gone, seen('a', ['a', 'b']), 'b')).toBe(false);
    expect(mayTake(seen('a', ['a', 'b']), gone, 'b')).toBe(false);
    expect(mayTake(seen(null, ['b'], false), undefined, 'b')).toBe(true);
    expect(mayTake(seen(null, [null, 'b'], false), undefined, 'b')).toBe(false);
    // An operator goes back to a release without versions.
    expect(mayTake(seen(null, ['b']), seen(null, ['b']), 'b')).toBe(false);
    expect(mayTake(seen('a', []), seen('a', []), 'b')).toBe(false);
  });

  it('makes its build current on a new server, and lets workflows begin', async () => {
    const fresh = await startTestServer();
    const shared = server;
    server = fresh;
    const adopting = new AbortController();
    try {
      await work('4-a');
      void adopt({
        client: fresh.client,
        build: '4-a',
        identity: 'test',
        logger: pino({ level: 'silent' }),
        signal: adopting.signal,
      });
      await startBoth();
      await pinnedBoth('4-a');
      expect((await observeVersions(fresh.client)).current).toBe('4-a');
    } finally {
      adopting.abort();
      await Promise.all(workers.splice(0).map((worker) => worker.stop()));
      server = shared;
      await fresh.stop();
    }
  }, 120_000);
});
