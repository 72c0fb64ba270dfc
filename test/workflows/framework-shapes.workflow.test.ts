/** Rare paths of the framework's workflow: its activities follow a script here. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Context } from '@temporalio/activity';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hostsThatLeave, withLeaving } from '../../src/deployment/leaving.js';
import type { FrameworkActivities } from '../../src/activities/framework.js';
import { PerijoveError } from '../../src/errors/error.js';
import { withoutHistory } from '../../src/mesos/scheduler/framework-events.js';
import { connectClient, type TemporalClient } from '../../src/temporal/connect.js';
import {
  claimScheduler,
  configureFramework,
  fenceHost,
  forgetHost,
  frameworkState,
  markEtcdFormed,
  memoKeys,
  retryScheduler,
  stopFramework,
  storeFencing,
  storeFrameworkId,
  storeIntents,
  storeMasters,
  storeMesos,
  storeMissing,
  storeTaskUpdates,
  taskQueue,
  workflowIds,
  workflowNames,
  type FrameworkInput,
  type FrameworkState,
} from '../../src/temporal/contract.js';
import { findTemporal, startDevServer, type DevServer } from '../../src/temporal/server.js';
import { eventually } from '../support/eventually.js';
import { record } from '../support/histories.js';
import { makeSpec } from '../support/spec.js';
import { createTestWorker, freePort, type TestWorker } from '../support/temporal.js';

const workflowsPath = fileURLToPath(new URL('../../src/workflows/framework.ts', import.meta.url));
const spec = makeSpec({ name: 'shapes', nodes: { count: 3 } });
/** A history of this many events makes the server suggest a new run; by default it takes some thousands. */
const eventsUntilNewRun = 80;

type Script = Partial<Pick<FrameworkActivities, 'runScheduler' | 'teardownFramework'>>;

let directory: string;
let server: DevServer;
let temporal: TemporalClient;
let worker: TestWorker;
let handle: WorkflowHandle;
/** Runs of the scheduler, by number, as they began and ended. */
let log: string[];
let cases = 0;

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'perijove-shapes-'));
  const { executable: real } = await findTemporal();
  const executable = path.join(directory, 'temporal');
  const setting = `limit.historyCount.suggestContinueAsNew=${eventsUntilNewRun}`;
  writeFileSync(executable, `#!/bin/sh\nexec '${real}' "$@" --dynamic-config-value ${setting}\n`);
  chmodSync(executable, 0o755);
  server = await startDevServer({
    executable,
    port: await freePort('127.0.0.1'),
    logFile: path.join(directory, 'temporal.log'),
  });
  temporal = await connectClient({ address: server.address, namespace: 'default' });
}, 120_000);
afterAll(async () => {
  await temporal?.close();
  if (server !== undefined) process.kill(server.pid, 'SIGTERM');
  await server?.exited;
  rmSync(directory, { recursive: true, force: true });
});

beforeEach(() => {
  cases += 1;
  log = [];
});
afterEach(async () => {
  await handle.terminate().catch(() => undefined);
  await worker.stop();
});

/** A scheduler that runs until it is cancelled. */
async function untilCancelled({ run }: { readonly run: number }): Promise<void> {
  log.push(`begin ${run}`);
  try {
    await Context.current().cancelled;
  } finally {
    log.push(`end ${run}`);
  }
}

async function start(script: Script = {}): Promise<void> {
  const workflowId = `${workflowIds.framework(spec.name)}/${cases}`;
  worker = await createTestWorker({
    server: { address: server.address },
    workflowsPath,
    taskQueue: `${taskQueue}-${cases}`,
    activities: { runScheduler: untilCancelled, teardownFramework: async () => undefined, ...script },
  });
  const input: FrameworkInput = { spec };
  await temporal.client.workflow.start(workflowNames.framework, {
    workflowId,
    taskQueue: `${taskQueue}-${cases}`,
    args: [input],
  });
  handle = temporal.client.workflow.getHandle(workflowId);
}

const state = (): Promise<FrameworkState> => handle.query(frameworkState);
const status = async () => (await handle.describe()).status.name;
const runId = async () => (await handle.describe()).runId;
const first = { run: 1, attempt: 1 };
const intent = { node: 'node0', taskId: 'node0.1', agentId: 'a', host: 'h1', config: 'c' };

/** A scheduler with a running task. */
async function schedule(): Promise<void> {
  await eventually('the scheduler runs', () => log.includes('begin 1'));
  await handle.executeUpdate(claimScheduler, { args: [first, '1@here'] });
  await handle.executeUpdate(storeFrameworkId, { args: [first, 'F', []] });
  await handle.executeUpdate(storeIntents, { args: [first, [intent]] });
  await handle.executeUpdate(storeTaskUpdates, {
    args: [first, [{ taskId: 'node0.1', state: 'TASK_RUNNING' }]],
  });
}

describe('the history is long:', () => {
  test('a new run continues with the same state, and with its own scheduler', async () => {
    await start();
    await schedule();
    await handle.executeUpdate(markEtcdFormed);
    const before = await state();
    const firstRun = await runId();
    let each = 0;
    await eventually('a new run has begun', async () => {
      each += 1;
      await handle.executeUpdate(storeMissing, { args: [first, `reason ${each}`] }).catch(() => undefined);
      return (await runId()) !== firstRun;
    });
    await eventually('the next scheduler runs', () => log.includes('begin 2'));
    expect(log).toEqual(['begin 1', 'end 1', 'begin 2']);
    const { missing, ...after } = await state();
    expect(missing).toMatch(/^reason/);
    expect(after).toEqual(before);
    expect((await handle.describe()).memo?.[memoKeys.state]).toEqual(await state());
    await expect(handle.executeUpdate(claimScheduler, { args: [first, '1@here'] })).rejects.toMatchObject({
      cause: { type: 'SCHEDULER_REPLACED' },
    });
    const next = { run: 2, attempt: 1 };
    await handle.executeUpdate(claimScheduler, { args: [next, '2@there'] });
    await expect(
      handle.executeUpdate(storeIntents, { args: [next, [{ ...intent, taskId: 'node0.2' }]] }),
    ).rejects.toMatchObject({ cause: { type: 'INTENT_REJECTED' } });
    expect(await handle.executeUpdate(configureFramework, { args: [spec] })).toBe('unchanged');
    await record(temporal.client.workflow.getHandle(handle.workflowId, firstRun), 'framework-grown');
    await handle.executeUpdate(stopFramework);
    await record(handle, 'framework-continued');
  });

  test('and it is stopped at that moment: it ends, and reports it', async () => {
    await start();
    await schedule();
    const stops: Promise<unknown>[] = [];
    for (let each = 0; stops.length === 0; each += 1) {
      const { historyLength } = await handle.describe();
      const noise = handle.executeUpdate(storeMissing, { args: [first, `reason ${each}`] });
      if (historyLength > eventsUntilNewRun - 8) stops.push(handle.executeUpdate(stopFramework));
      await noise.catch(() => undefined);
    }
    expect(await Promise.all(stops)).toEqual([{ tornDown: true }]);
    await eventually('it has ended', async () => (await status()) === 'COMPLETED');
  });
});

describe('the end', () => {
  test('comes after the scheduler has ended', async () => {
    let torn: unknown;
    await start({
      teardownFramework: async (input) => {
        torn = input;
        log.push('teardown');
      },
    });
    await schedule();
    expect(await handle.executeUpdate(stopFramework)).toEqual({ tornDown: true });
    await handle.result();
    expect(log).toEqual(['begin 1', 'end 1', 'teardown']);
    expect(torn).toEqual({ spec, frameworkId: 'F' });
  });

  test('comes even if Mesos refuses, and reports it', async () => {
    await start({
      teardownFramework: async () => {
        throw new PerijoveError('MESOS_REFUSED', 'not you');
      },
    });
    await schedule();
    expect(await handle.executeUpdate(stopFramework)).toEqual({ tornDown: false, reason: 'not you' });
    await handle.result();
    await record(handle, 'framework-not-torn-down');
  });

  test('comes even if the scheduler had given up', async () => {
    await start({
      runScheduler: async () => {
        throw new PerijoveError('MESOS_REFUSED', 'not you');
      },
    });
    await eventually('it has given up', async () => (await state()).failure !== undefined);
    expect(await handle.executeUpdate(stopFramework)).toEqual({ tornDown: true });
    await handle.result();
  });
});

describe('a host that leaves the cluster', () => {
  const hosts = async () => (await handle.describe()).memo?.[memoKeys.hosts];
  const forget = (host: string) => handle.executeUpdate(forgetHost, { args: [host] });

  test('stays stored with its coordinates until the cluster is deployed without it', async () => {
    await start();
    await schedule();
    expect(await hosts()).toEqual(spec.hosts);
    const others = spec.hosts.slice(1);
    const left = withLeaving(
      { ...spec, hosts: others },
      hostsThatLeave({ ...spec, hosts: others }, spec.hosts, []),
    );
    await handle.executeUpdate(configureFramework, { args: [left] });
    expect(await hosts()).toEqual(left.hosts);
    await eventually('the next scheduler runs', () => log.includes('begin 2'));
    await handle.executeUpdate(configureFramework, { args: [{ ...spec, hosts: others }] });
    expect(await hosts()).toEqual(others);
    expect((await state()).tasks['node0']).toMatchObject({ host: 'h1', state: 'TASK_RUNNING' });
  });

  test('is forgotten when no node on it is alive, and closed to nodes until the next deployment', async () => {
    await start();
    await schedule();
    await expect(forget('h9')).rejects.toMatchObject({ cause: { type: 'UNKNOWN_TARGET' } });
    await expect(forget('h1')).rejects.toMatchObject({ cause: { type: 'HOST_NOT_LOST' } });
    await handle.executeUpdate(storeTaskUpdates, {
      args: [first, [{ taskId: 'node0.1', state: 'TASK_UNREACHABLE' }]],
    });
    expect(await forget('h1')).toEqual({ changed: true, nodes: ['node0'] });
    expect(await forget('h1')).toEqual({ changed: false, nodes: ['node0'] });
    expect(await state()).toMatchObject({
      cordons: { h1: {} },
      fences: { h1: { nodes: ['node0'] } },
      forgotten: { h1: {} },
    });
    await eventually('a scheduler knows of it', () => log.includes('begin 2'));
    expect(await forget('h2'), 'a host without nodes').toEqual({ changed: true, nodes: [] });
    await handle.executeUpdate(configureFramework, { args: [{ ...spec, hosts: spec.hosts.slice(1) }] });
    const after = await state();
    expect(after.forgotten).toBeUndefined();
    expect(after.cordons).toBeUndefined();
    expect(after.fences, 'its node has not been given up yet').toMatchObject({ h1: { nodes: ['node0'] } });
    await record(handle, 'framework-forgot-a-host');
  });
});

describe('a host that may be lost', () => {
  const fence = (host = 'h1') => handle.executeUpdate(fenceHost, { args: [host] });
  const refused = { cause: { type: 'HOST_NOT_LOST' } };

  test('is declared dead by an operator, and its node launched elsewhere; each step is repeatable', async () => {
    await start();
    await schedule();
    await expect(fence()).rejects.toMatchObject(refused);
    await expect(fence('h2')).rejects.toMatchObject(refused);

    await handle.executeUpdate(storeTaskUpdates, {
      args: [first, [{ taskId: 'node0.1', state: 'TASK_UNREACHABLE' }]],
    });
    expect(await fence()).toEqual({ changed: true, nodes: ['node0'] });
    expect(await fence()).toEqual({ changed: false, nodes: ['node0'] });
    await expect(
      handle.executeUpdate(storeIntents, { args: [first, [{ ...intent, taskId: 'node0.2' }]] }),
    ).rejects.toMatchObject({ cause: { type: 'INTENT_REJECTED' } });

    const presumed = { taskId: 'node0.1', how: 'presumed', message: 'fenced: an operator said so' } as const;
    const given = await handle.executeUpdate(storeFencing, { args: [first, [presumed]] });
    expect(given.tasks['node0']).toMatchObject({ state: 'TASK_GONE', message: presumed.message });
    expect(await handle.executeUpdate(storeFencing, { args: [first, [presumed]] })).toEqual(given);
    await handle.executeUpdate(storeIntents, {
      args: [first, [{ ...intent, taskId: 'node0.2', host: 'h2' }]],
    });
    expect(await fence()).toEqual({ changed: false, nodes: ['node0'] });
    await expect(fence('h2')).rejects.toMatchObject(refused);

    const ended = { ...presumed, how: 'ended' } as const;
    const over = await handle.executeUpdate(storeFencing, { args: [first, [ended]] });
    expect(over).toMatchObject({ presumed: [], tasks: { node0: { taskId: 'node0.2' } } });
    await expect(
      handle.executeUpdate(storeFencing, { args: [{ ...first, attempt: 2 }, [ended]] }),
    ).rejects.toMatchObject({ cause: { type: 'SCHEDULER_REPLACED' } });
    expect(log).toEqual(['begin 1']);
    await handle.executeUpdate(stopFramework);
    await record(handle, 'framework-fenced');
  });
});

describe('the scheduler', () => {
  test('that gave up is restarted when the framework is configured, even with the same spec', async () => {
    let runs = 0;
    await start({
      runScheduler: async (input) => {
        runs += 1;
        if (runs === 1) throw new PerijoveError('MESOS_BAD_REQUEST', 'no such role');
        await untilCancelled(input);
      },
    });
    expect(await handle.executeUpdate(configureFramework, { args: [spec] })).toBe('started');
    await eventually('it has given up', async () => (await state()).failure !== undefined);
    expect((await state()).failure).toMatchObject({ code: 'MESOS_BAD_REQUEST', message: 'no such role' });
    expect(await handle.executeUpdate(configureFramework, { args: [spec] })).toBe('changed');
    await eventually('it runs', () => log.includes('begin 2'));
    expect((await state()).failure).toBeUndefined();
    await handle.executeUpdate(stopFramework);
    await record(handle, 'framework-gave-up');
  });

  test('that gave up is restarted on request, with the spec that it has', async () => {
    let runs = 0;
    await start({
      runScheduler: async (input) => {
        runs += 1;
        if (runs === 1) throw new PerijoveError('MESOS_BAD_REQUEST', 'no such role');
        await untilCancelled(input);
      },
    });
    await eventually('it has given up', async () => (await state()).failure !== undefined);
    expect(await handle.executeUpdate(retryScheduler)).toEqual({ changed: true });
    await eventually('it runs', () => log.includes('begin 2'));
    expect((await state()).failure).toBeUndefined();
    expect(await handle.executeUpdate(retryScheduler)).toEqual({ changed: false });
    await handle.executeUpdate(stopFramework);
    await record(handle, 'framework-retried');
  });

  test('is not disturbed by the same spec', async () => {
    await start();
    await eventually('it runs', () => log.includes('begin 1'));
    expect(await handle.executeUpdate(configureFramework, { args: [spec] })).toBe('started');
    const reordered = Object.fromEntries(Object.entries(spec).reverse()) as unknown as typeof spec;
    expect(await handle.executeUpdate(configureFramework, { args: [reordered] })).toBe('unchanged');
    expect(log).toEqual(['begin 1']);
  });

  test('is replaced after a change of the spec, when the previous one has ended', async () => {
    await start();
    await schedule();
    const changed = { ...spec, etcd: { ...spec.etcd, electionMs: 777 } };
    expect(await handle.executeUpdate(configureFramework, { args: [changed] })).toBe('started');
    await eventually('the next one runs', () => log.includes('begin 2'));
    expect(log).toEqual(['begin 1', 'end 1', 'begin 2']);
    await expect(
      handle.executeUpdate(storeTaskUpdates, { args: [{ run: 2, attempt: 1 }, []] }),
    ).rejects.toMatchObject({ cause: { type: 'SCHEDULER_REPLACED' } });
  });

  test('does not give up because of a failure while it ends', async () => {
    await start({
      runScheduler: async ({ run }) => {
        log.push(`begin ${run}`);
        await Context.current().cancelled.catch(() => undefined);
        if (run === 1) throw new PerijoveError('SCHEDULER_CUT_OFF', 'nobody answers');
      },
    });
    await schedule();
    const other = { ...spec, etcd: { ...spec.etcd, token: 'other' } };
    await handle.executeUpdate(configureFramework, { args: [other] });
    await eventually('the next scheduler runs', () => log.includes('begin 2'));
    expect(await state()).not.toHaveProperty('failure');
  });

  test('may store the same thing again: the response may have been lost', async () => {
    await start();
    await schedule();
    const before = await state();
    await handle.executeUpdate(claimScheduler, { args: [first, '1@here'] });
    await handle.executeUpdate(storeFrameworkId, { args: [first, 'F', []] });
    expect(await handle.executeUpdate(storeIntents, { args: [first, [intent]] })).toEqual(
      withoutHistory(before),
    );
    expect(await state()).toEqual(before);
    await handle.executeUpdate(storeTaskUpdates, {
      args: [first, [{ taskId: 'node0.1', state: 'TASK_RUNNING' }]],
    });
    expect(await state()).toEqual(before);
    await expect(handle.executeUpdate(storeFrameworkId, { args: [first, 'G', []] })).rejects.toMatchObject({
      cause: { type: 'SCHEDULER_REPLACED' },
    });
  });

  test('stores its observation of Mesos, reports it once, and then what differs', async () => {
    await start();
    await schedule();
    const seen = {
      leader: 'h1',
      agents: { h1: 'here', h2: 'away' },
    } as const;
    const eventTexts = async () => (await state()).events?.map(({ what }) => what) ?? [];
    const before = await eventTexts();
    await handle.executeUpdate(storeMesos, { args: [first, seen], updateId: 'seen' });
    const after = await eventTexts();
    expect(after.length).toBeGreaterThan(before.length);
    await handle.executeUpdate(storeMesos, { args: [first, seen], updateId: 'seen' });
    await handle.executeUpdate(storeMesos, { args: [first, seen] });
    expect(await eventTexts()).toEqual(after);
    expect((await state()).mesos).toEqual(seen);
    const moved = { ...seen, leader: 'h2' };
    await handle.executeUpdate(storeMesos, { args: [first, moved] });
    expect((await eventTexts()).length).toBe(after.length + 1);

    const ends = { h3: 'its log is broken' };
    await handle.executeUpdate(storeMasters, { args: [first, ends] });
    await handle.executeUpdate(storeMasters, { args: [first, ends] });
    expect((await state()).masters).toEqual(ends);
    await handle.executeUpdate(storeMasters, { args: [first, {}] });
    expect(await state()).not.toHaveProperty('masters');
    const replaced = { cause: { type: 'SCHEDULER_REPLACED' } };
    const other = { ...first, attempt: 2 };
    await expect(handle.executeUpdate(storeMesos, { args: [other, seen] })).rejects.toMatchObject(replaced);
    await expect(handle.executeUpdate(storeMasters, { args: [other, ends] })).rejects.toMatchObject(replaced);
    expect((await state()).mesos).toEqual(moved);
    await handle.executeUpdate(stopFramework);
    await record(handle, 'framework-saw-mesos');
  });
});
