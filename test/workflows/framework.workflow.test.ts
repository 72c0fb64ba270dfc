/** The framework on a real Temporal server, a real ZooKeeper, and the stand-in's masters and agents. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isGrpcServiceError, type WorkflowHandle } from '@temporalio/client';
import { temporal } from '@temporalio/proto';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { allProcesses, startVariable } from '../../src/lab/processes.js';
import { parseTaskId } from '../../src/mesos/scheduler/tasks.js';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import {
  configureFramework,
  fenceHost,
  frameworkState,
  memoKeys,
  searchAttributes,
  stopFramework,
  storeIntents,
  taskQueue,
  workflowIds,
  type FrameworkState,
} from '../../src/temporal/contract.js';
import { startMesos, type MesosCluster } from '../mesos/mesos-cluster.js';
import { eventually } from '../support/eventually.js';
import { record } from '../support/histories.js';
import { Relay } from '../support/relay.js';
import { bundleOf } from '../support/bundles.js';
import { startTestServer, type TestServer } from '../support/temporal.js';
import type { WorkerSettings } from './framework-worker.js';

const root = path.resolve(import.meta.dirname, '../..');
const driver = fileURLToPath(new URL('./framework-driver.ts', import.meta.url));

let server: TestServer;
let cluster: MesosCluster;
/** Below node_modules, so that what is built there finds its packages. */
let builds: string;
let workers: TestProcess[] = [];
/** Relays between workers and masters, if a test started them. */
let relays: Relay[] = [];
let spec: ClusterSpec;
let handle: WorkflowHandle;
let cases = 0;

beforeAll(async () => {
  mkdirSync(path.join(root, 'node_modules', '.cache'), { recursive: true });
  builds = mkdtempSync(path.join(root, 'node_modules', '.cache', 'perijove-framework-'));
  const [testServer, mesos, { code }] = await Promise.all([
    startTestServer(),
    startMesos({ subnet: '127.24.2' }),
    bundleOf(driver),
    build({
      entryPoints: [path.join(import.meta.dirname, 'framework-worker.ts')],
      outfile: path.join(builds, 'worker.mjs'),
      bundle: true,
      packages: 'external',
      platform: 'node',
      format: 'esm',
      logLevel: 'warning',
    }),
  ]);
  server = testServer;
  cluster = mesos;
  writeFileSync(path.join(builds, 'workflows.js'), code);
}, 120_000);
afterAll(async () => {
  await cluster?.close();
  await server?.stop();
  rmSync(builds, { recursive: true, force: true });
});

beforeEach(() => {
  cases += 1;
  spec = { ...cluster.spec, name: `case${cases}` };
  handle = server.client.workflow.getHandle(workflowIds.framework(spec.name));
});
afterEach(async () => {
  if (workers.length === 0) await startWorker();
  if ((await handle.describe().catch(() => undefined))?.status.name === 'RUNNING') {
    expect(await handle.executeUpdate(stopFramework)).toEqual({ tornDown: true });
  }
  await Promise.all(workers.map((worker) => worker.kill()));
  workers = [];
  for (const relay of relays) relay.close();
  relays = [];
  await until('no task is left', () => tasksAlive().length === 0);
  expect(lines('conflicts')).toEqual([]);
});

/** Starting a worker alone takes seconds on a busy machine, and detecting one that hangs some more. */
const patienceMs = 90_000;
const until = (what: string, holds: () => Promise<boolean> | boolean) => eventually(what, holds, patienceMs);

interface TestProcess {
  readonly pid: number;
  kill(): Promise<void>;
  /** SIGTERM: it hands its activities over and exits. */
  stop(): Promise<void>;
}

async function startWorker(relay?: Relay): Promise<TestProcess> {
  const settings: WorkerSettings = {
    address: server.address,
    codePath: path.join(builds, 'workflows.js'),
    dir: cluster.dir,
    ...(relay && { relays: relay.ports }),
  };
  const child: ChildProcess = spawn(process.execPath, [path.join(builds, 'worker.mjs')], {
    env: { ...process.env, PERIJOVE_TEST_WORKER: JSON.stringify(settings) },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  await once(child, 'spawn');
  const gone = once(child, 'exit');
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await gone;
    workers = workers.filter((each) => each !== worker);
  };
  const worker = { pid: child.pid ?? 0, kill: () => end('SIGKILL'), stop: () => end('SIGTERM') };
  workers.push(worker);
  return worker;
}

/** Calls an activity like a stage. */
async function call(name: string, input: unknown = { spec }): Promise<unknown> {
  return await server.client.workflow.execute('call', {
    workflowId: `call-${name}-${crypto.randomUUID()}`,
    taskQueue,
    args: [name, input],
  });
}

/** A worker that was killed or hangs may have taken the query with it: then it is sent again. */
async function state(): Promise<FrameworkState> {
  for (;;) {
    try {
      return await handle.query(frameworkState);
    } catch (error) {
      if (!isGrpcServiceError(error instanceof Error ? error.cause : error)) throw error;
    }
  }
}

async function running(): Promise<Record<string, string>> {
  const tasks = Object.values((await state()).tasks).filter((task) => task.state === 'TASK_RUNNING');
  return Object.fromEntries(tasks.map(({ node, taskId }) => [node, taskId]));
}

function lines(name: string): string[] {
  try {
    return readFileSync(path.join(cluster.dir, `${spec.name}-${name}`), 'utf8')
      .trim()
      .split('\n');
  } catch {
    return [];
  }
}

function tasksAlive(taskId?: string): number[] {
  return allProcesses()
    .map(({ pid }) => pid)
    .filter((pid) => startVariable(pid, 'CASE') === spec.name)
    .filter((pid) => taskId === undefined || startVariable(pid, 'MESOS_TASK_ID') === taskId);
}

function killTask(taskId: string): void {
  for (const pid of tasksAlive(taskId)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

async function launchAll(): Promise<void> {
  expect(await call('ensureFramework')).toBe('started');
  await call('awaitNodes');
}

const first = { node0: 'node0.1', node1: 'node1.2', node2: 'node2.3' };

describe('a framework', { timeout: 2 * patienceMs }, () => {
  test('launches its nodes, can be found and read, is quiet when idle, and ends', async () => {
    await startWorker();
    await launchAll();
    expect(await running()).toEqual(first);

    const { historyLength } = await handle.describe();
    expect(await call('ensureFramework')).toBe('unchanged');
    await call('awaitNodes');
    expect((await state()).launches).toBe(3);

    const description = await handle.describe();
    expect(description.memo?.[memoKeys.state]).toEqual(await state());
    expect(description.searchAttributes[searchAttributes.cluster]).toEqual([spec.name]);
    // The second configure: accepted, completed, and the workflow task that carried it out.
    expect(description.historyLength - historyLength).toBe(5);

    expect(await call('stopFramework')).toEqual({ tornDown: true });
    expect((await handle.describe()).status.name).toBe('COMPLETED');
    const mesos = await cluster.state();
    expect(mesos.frameworks.flatMap(({ labels }) => labels.map(({ value }) => value))).not.toContain(
      spec.name,
    );
    // Repeated, as after a lost response.
    expect(await call('stopFramework')).toBeUndefined();
    await record(handle, 'framework-launched-and-stopped');
  });

  test('adds nothing to its history while nothing happens', async () => {
    await startWorker();
    await launchAll();
    const before = (await handle.describe()).historyLength;
    // Long enough for heartbeats of the activity, of Mesos, and a full reconciliation.
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    expect((await handle.describe()).historyLength).toBe(before);
  });

  test('relaunches a dead node, and survives the loss of the leading master', async () => {
    await startWorker();
    await launchAll();
    killTask('node1.2');
    await until('node1 runs again', async () => (await running())['node1'] === 'node1.4');
    const leader = await cluster.leader();
    await cluster.masters[leader]?.kill();
    await until('another master leads', async () => (await cluster.leader().catch(() => leader)) !== leader);
    killTask('node2.3');
    await until('node2 runs again', async () => (await running())['node2'] === 'node2.5');
    await cluster.masters[leader]?.start();
    expect(await running()).toEqual({ node0: 'node0.1', node1: 'node1.4', node2: 'node2.5' });
    expect(lines('launches')).toHaveLength(5);
    await call('stopFramework');
    await record(handle, 'framework-relaunched');
  });

  test('applies another spec, rolls its nodes, and the scheduler with the old one is gone', async () => {
    await startWorker();
    await launchAll();
    const { lease } = await state();
    spec = { ...spec, etcd: { ...spec.etcd, token: 'another' } };
    expect(await call('ensureFramework')).toBe('changed');
    await call('awaitNodes');
    const after = await state();
    expect(after.lease?.run).toBe((lease?.run ?? 0) + 1);
    expect(after.launches).toBe(6);
    expect(Object.values(after.tasks).map(({ config }) => config)).toEqual(['another', 'another', 'another']);
    await call('stopFramework');
    await record(handle, 'framework-configured-anew');
  });

  test('launches a node elsewhere when an operator declares its host dead at another worker', async () => {
    // Two hosts are left for three nodes.
    spec = { ...spec, nodes: { ...spec.nodes, allowMajorityOnOneHost: true } };
    const doomed = await startWorker();
    await launchAll();
    const { host = '' } = (await state()).tasks['node0'] ?? {};
    const before = (await state()).lease;
    await cluster.agents[host]?.kill();
    try {
      killTask('node0.1');
      writeFileSync(path.join(cluster.dir, `${spec.name}-node0-is-down`), '');
      await until('people are told what they can do', async () => {
        return (await state()).missing?.includes(`perijove fence ${host}`) === true;
      });
      await doomed.kill();
      await startWorker();
      expect(await handle.executeUpdate(fenceHost, { args: [host] })).toEqual({
        changed: true,
        nodes: ['node0'],
      });
      await until('node0 runs elsewhere', async () => (await running())['node0'] === 'node0.4');
      const { tasks, presumed, lease } = await state();
      expect(tasks['node0']?.host).not.toBe(host);
      expect(presumed).toMatchObject([{ taskId: 'node0.1', host }]);
      expect(lease).toEqual({ run: before?.run, attempt: 2 });
      expect(await running()).toEqual({ ...first, node0: 'node0.4' });
    } finally {
      await cluster.agents[host]?.start();
    }
    expect(lines('launches')).toHaveLength(4);
  });

  test('that was removed by another client reports it, and registers again when configured', async () => {
    await startWorker();
    await launchAll();
    const { frameworkId } = await state();
    await call('teardownFramework', { spec, frameworkId });
    await until('it has given up', async () => (await state()).failure !== undefined);
    expect((await state()).failure).toMatchObject({ code: 'MESOS_FRAMEWORK_REMOVED' });
    await expect(call('awaitNodes')).rejects.toMatchObject({
      cause: { cause: { type: 'FRAMEWORK_FAILED', nonRetryable: true } },
    });
    expect(await call('ensureFramework')).toBe('changed');
    await call('awaitNodes');
    const after = await state();
    expect(after.frameworkId).not.toBe(frameworkId);
    expect(after.failure).toBeUndefined();
    expect(after.launches).toBe(6);
    await call('stopFramework');
    await record(handle, 'framework-removed-and-registered-anew');
  });

  test('refuses the spec of another cluster, and a node that has a task already', async () => {
    await startWorker();
    await launchAll();
    const other = { ...spec, name: 'other' };
    await expect(handle.executeUpdate(configureFramework, { args: [other] })).rejects.toMatchObject({
      cause: { type: 'SPEC_DIFFERS' },
    });
    const { lease = { run: 0, attempt: 0 }, tasks } = await state();
    const intent = { node: 'node0', taskId: 'node0.9', agentId: 'a', host: 'h1', config: 'c' };
    await expect(handle.executeUpdate(storeIntents, { args: [lease, [intent]] })).rejects.toMatchObject({
      cause: { type: 'INTENT_REJECTED' },
    });
    await expect(
      handle.executeUpdate(storeIntents, { args: [{ ...lease, attempt: lease.attempt + 1 }, []] }),
    ).rejects.toMatchObject({ cause: { type: 'SCHEDULER_REPLACED' } });
    expect((await state()).tasks).toEqual(tasks);
  });
});

describe('its worker is gone:', { timeout: 2 * patienceMs }, () => {
  test('killed while the cluster is healthy, another one takes over within seconds', async () => {
    const doomed = await startWorker();
    await launchAll();
    const before = await state();
    expect(before.scheduler).toMatch(new RegExp(`^${doomed.pid}@`));
    await doomed.kill();
    const heir = await startWorker();
    await until('another worker is the scheduler', async () => {
      return (await state()).scheduler?.startsWith(`${heir.pid}@`) === true;
    });
    killTask('node0.1');
    await until('node0 runs again', async () => (await running())['node0'] === 'node0.4');
    const after = await state();
    expect(after.frameworkId).toBe(before.frameworkId);
    expect(after.lease).toEqual({ run: 1, attempt: 2 });
    expect(lines('launches')).toHaveLength(4);
    await call('stopFramework');
    await record(handle, 'framework-taken-over');
  });

  test('stopped in order, another one takes over', async () => {
    const leaving = await startWorker();
    await launchAll();
    const heir = await startWorker();
    await leaving.stop();
    await until('the other one is the scheduler', async () => {
      return (await state()).scheduler?.startsWith(`${heir.pid}@`) === true;
    });
    expect(await running()).toEqual(first);
    expect(lines('launches')).toHaveLength(3);
  });

  test.each([
    ['the framework ID is stored', (now: FrameworkState) => now.frameworkId !== undefined],
    ['intents are stored', (now: FrameworkState) => now.launches > 0],
    ['tasks have started', () => lines('launches').length > 0],
    [
      'some run',
      (now: FrameworkState) => Object.values(now.tasks).some((task) => task.state === 'TASK_RUNNING'),
    ],
  ] as const)('killed as soon as %s: every node runs once', async (_when, reached) => {
    const doomed = await startWorker();
    const started = call('ensureFramework');
    // The query needs the workflow; a worker that is killed early may leave it unanswered.
    await until('it is time', async () => {
      const now = await handle.query(frameworkState).catch(() => undefined);
      return now !== undefined && reached(now);
    });
    await doomed.kill();
    await startWorker();
    await started;
    await call('awaitNodes');
    const nodes = lines('launches').map((taskId) => parseTaskId(taskId)?.node);
    expect(nodes.toSorted()).toEqual(['node0', 'node1', 'node2']);
  });

  test('suspended while another one works, it resumes and does no harm', async () => {
    const hung = await startWorker();
    await launchAll();
    process.kill(hung.pid, 'SIGSTOP');
    const heir = await startWorker();
    await until('the other one is the scheduler', async () => {
      return (await state()).scheduler?.startsWith(`${heir.pid}@`) === true;
    });
    killTask('node0.1');
    await until('node0 runs again', async () => (await running())['node0'] === 'node0.4');
    process.kill(hung.pid, 'SIGCONT');
    killTask('node1.2');
    await until('node1 runs again', async () => (await running())['node1'] === 'node1.5');
    expect((await state()).scheduler).toMatch(new RegExp(`^${heir.pid}@`));
    expect(lines('launches')).toHaveLength(5);
  });

  test('and Temporal with it: all continues from the database', async () => {
    const doomed = await startWorker();
    await launchAll();
    await Promise.all([doomed.kill(), server.kill()]);
    killTask('node2.3');
    await server.restart();
    await startWorker();
    await until('node2 runs again', async () => (await running())['node2'] === 'node2.4');
    expect(lines('launches')).toHaveLength(4);
  });
});

/** How many takeovers in a row; set it for a longer proof than CI has time for, such as to 20. */
const takeovers = Number(process.env['PERIJOVE_TAKEOVERS'] ?? 3);

describe('two workers', { timeout: patienceMs + takeovers * 30_000 }, () => {
  interface Place {
    readonly relay: Relay;
    worker: TestProcess;
  }
  let places: readonly Place[] = [];
  const masters = () =>
    cluster.spec.hosts
      .filter(({ roles }) => roles.includes('master'))
      .map(({ address, ports }) => ({ host: address, port: ports.master }));
  const newPlace = async (): Promise<Place> => {
    const relay = await Relay.to(masters());
    relays.push(relay);
    return { relay, worker: await startWorker(relay) };
  };
  const holder = async (): Promise<Place> => {
    const { scheduler = '' } = await state();
    const found = places.find(({ worker }) => scheduler.startsWith(`${worker.pid}@`));
    if (found === undefined) throw new Error(`${scheduler} is none of the workers`);
    return found;
  };
  /** A worker that was suspended or cut off never stopped polling; a new one may not have begun. */
  const asksForWork = async ({ pid }: TestProcess) => {
    const { pollers } = await server.client.workflowService.describeTaskQueue({
      namespace: 'default',
      taskQueue: { name: taskQueue },
      taskQueueType: temporal.api.enums.v1.TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    });
    return (pollers ?? []).some(({ identity }) => identity?.startsWith(`${pid}@`) === true);
  };
  /** Process IDs of all tasks, by task ID. */
  const processes = async () =>
    Object.fromEntries(
      Object.values(await running()).map((taskId) => [taskId, tasksAlive(taskId).toSorted()]),
    );

  beforeEach(async () => {
    places = await Promise.all([newPlace(), newPlace()]);
  });
  afterEach(() => {
    for (const { worker, relay } of places) {
      relay.mend();
      if (workers.includes(worker)) process.kill(worker.pid, 'SIGCONT');
    }
  });

  const faults = [
    {
      name: 'killed',
      strike: (place: Place) => place.worker.kill(),
      heal: async (place: Place) => {
        place.worker = await startWorker(place.relay);
      },
    },
    {
      name: 'suspended',
      strike: async ({ worker }: Place) => void process.kill(worker.pid, 'SIGSTOP'),
      heal: async ({ worker }: Place) => void process.kill(worker.pid, 'SIGCONT'),
    },
    {
      name: 'cut off from the masters',
      strike: async ({ relay }: Place) => relay.cut(),
      heal: async ({ relay }: Place) => relay.mend(),
    },
  ];

  test(`take over from each other, ${takeovers} times in a row, and launch nothing twice`, async () => {
    await launchAll();
    await until('each launch has told of itself', () => lines('launches').length === 3);
    const { frameworkId } = await state();
    for (let round = 0; round < takeovers; round += 1) {
      const { name, strike, heal } = faults[round % faults.length] as (typeof faults)[number];
      const before = await running();
      const alive = await processes();
      const launched = lines('launches').length;
      const old = await holder();
      const heir = places.find((place) => place !== old) as Place;

      const struckAt = Date.now();
      await strike(old);
      // In every second round a node dies, which no worker notices at first.
      const victim = round % 2 === 1 ? `node${round % 3}` : undefined;
      if (victim !== undefined) killTask(before[victim] ?? '');
      await until(`another worker subscribes, ${name}`, async () => {
        return heir.relay.subscribedAt > struckAt && (await holder()) === heir;
      });
      const tookMs = heir.relay.subscribedAt - struckAt;
      if (victim !== undefined) {
        await until(`${victim} runs again`, async () => {
          const now = (await running())[victim];
          return now !== undefined && now !== before[victim];
        });
      }
      await heal(old);
      // A resumed or reconnected scheduler has no right to write any more.
      await until('the old one has let go of Mesos', () => old.relay.connections === 0);
      expect(await holder()).toBe(heir);

      const after = await running();
      const others = (tasks: Record<string, string>) =>
        Object.entries(tasks).filter(([node]) => node !== victim);
      expect(others(after)).toEqual(others(before));
      expect(Object.keys(after)).toEqual(Object.keys(before));
      expect(await processes()).toMatchObject(
        Object.fromEntries(others(before).map(([, taskId]) => [taskId, alive[taskId]])),
      );
      const expected = launched + (victim === undefined ? 0 : 1);
      await until('each launch has told of itself', () => lines('launches').length >= expected);
      expect(lines('launches')).toHaveLength(expected);
      expect((await state()).frameworkId).toBe(frameworkId);
      await until('the old one asks for work', () => asksForWork(old.worker));
      if (process.env['PERIJOVE_TAKEOVERS'] !== undefined) {
        console.log(
          `takeover ${round + 1}: ${name}${victim === undefined ? '' : `, ${victim} died`}: ${tookMs} ms`,
        );
      }
    }
  });
});
