/** The worker as a process, as `perijove worker` runs it, on a real Temporal server. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { temporal } from '@temporalio/proto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  keeperState,
  stopKeeper,
  taskQueue,
  workflowIds,
  workflowNames,
  type KeeperInput,
} from '../../src/temporal/contract.js';
import { eventually } from '../support/eventually.js';
import { workerMetrics } from '../support/metric-names.js';
import { makeSpec } from '../support/spec.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { freePort, startTestServer, type TestServer } from '../support/temporal.js';

const { TIMEOUT_TYPE_HEARTBEAT } = temporal.api.enums.v1.TimeoutType;
const perijove = path.resolve(import.meta.dirname, '../../bin/perijove.js');

let server: TestServer;
let sshd: TestSshd;
let directory: string;
const workers: WorkerProcess[] = [];
let handle: WorkflowHandle | undefined;
let cases = 0;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-worker-'));
  [server, sshd] = await Promise.all([startTestServer(), startSshd({ address: '127.27.1.1' })]);
});
afterEach(async () => {
  await handle?.terminate().catch(() => undefined);
  handle = undefined;
  await Promise.all(workers.splice(0).map((worker) => worker.end('SIGKILL')));
});
afterAll(async () => {
  await sshd?.remove();
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
});

interface LogLine {
  readonly msg: string;
  readonly [field: string]: unknown;
}

class WorkerProcess {
  readonly #child: ChildProcess;
  #output = '';

  constructor(options: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
    this.#child = spawn(process.execPath, [perijove, 'worker', '--temporal', server.address, ...options], {
      cwd: directory,
      env: { ...process.env, XDG_STATE_HOME: directory, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (data: Buffer) => (this.#output += data.toString()));
    }
    workers.push(this);
  }

  /** As its activities and workflows name it. */
  get identity(): RegExp {
    return new RegExp(`^${this.#child.pid}@`);
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Its log line with that message, once it exists. */
  async logged(message: string): Promise<LogLine> {
    return eventually(`the worker says "${message}"`, () => {
      if (!this.isRunning) throw new Error(`it has ended: ${this.#output}`);
      return this.lines().find(({ msg }) => msg === message);
    });
  }

  lines(): LogLine[] {
    const whole = this.#output.split('\n').slice(0, -1);
    return whole.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as LogLine);
  }

  /** Sends a signal, and resolves to the exit code once it has ended. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.isRunning) {
      const gone = once(this.#child, 'exit');
      this.#child.kill(signal);
      await gone;
    }
    return this.#child.exitCode;
  }
}

async function startWorker(
  options: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<WorkerProcess> {
  const worker = new WorkerProcess(options, env);
  await worker.logged('the worker is ready');
  return worker;
}

/** A keeper that watches forever: no node of its cluster exists. */
async function startKeeper(): Promise<WorkflowHandle> {
  cases += 1;
  const spec = makeSpec({
    name: `watched-${cases}`,
    hosts: [sshd.host()],
    nodes: { count: 1, firstAddress: '127.27.2.10' },
  });
  const input: KeeperInput = { spec };
  handle = await server.client.workflow.start(workflowNames.keeper, {
    workflowId: workflowIds.keeper(spec.name),
    taskQueue,
    args: [input],
  });
  return handle;
}

/** The watch of the keeper, once that worker has it. */
async function watchedBy(keeper: WorkflowHandle, { identity }: WorkerProcess) {
  return eventually(`${identity.source} has the watch`, async () => {
    const { raw } = await keeper.describe();
    return raw.pendingActivities?.find(
      ({ state, lastWorkerIdentity }) =>
        state === temporal.api.enums.v1.PendingActivityState.PENDING_ACTIVITY_STATE_STARTED &&
        identity.test(lastWorkerIdentity ?? ''),
    );
  });
}

describe('a worker', { timeout: 120_000 }, () => {
  it('on SIGTERM hands over its activities to another one at once, and exits with 0', async () => {
    const leaving = await startWorker();
    const keeper = await startKeeper();
    await watchedBy(keeper, leaving);
    const heir = await startWorker();
    expect(await leaving.end('SIGTERM')).toBe(0);
    expect(leaving.lines().at(-1)).toMatchObject({ msg: 'the worker has shut down' });
    const watch = await watchedBy(keeper, heir);
    // It was handed over, so there was no need to wait for missed heartbeats.
    expect(watch.lastFailure?.applicationFailureInfo?.type).toBe('WORKER_SHUTDOWN');
    expect(watch.attempt).toBe(2);
    await keeper.executeUpdate(stopKeeper);
    await keeper.result();
  });

  it('that was killed misses its heartbeats, and another one takes over', async () => {
    const doomed = await startWorker();
    const keeper = await startKeeper();
    await watchedBy(keeper, doomed);
    const heir = await startWorker();
    await doomed.end('SIGKILL');
    const watch = await watchedBy(keeper, heir);
    expect(watch.lastFailure?.timeoutFailureInfo?.timeoutType).toBe(TIMEOUT_TYPE_HEARTBEAT);
    expect(watch.attempt).toBe(2);
    await keeper.executeUpdate(stopKeeper);
    await keeper.result();
  });

  it.each([
    ['an exception', `throw(new Error('boom'))`, 'uncaughtException'],
    ['a rejection', `Promise.reject(new Error('boom'))`, 'unhandledRejection'],
  ])(
    'that meets %s that nobody caught logs it, lets its activities go, and exits with 75',
    async (_what, fault, origin) => {
      // On SIGUSR2, out of a timer.
      const code = `process.on('SIGUSR2',()=>setTimeout(()=>{${fault}}))`;
      const faulty = await startWorker([], {
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}`,
      });
      const keeper = await startKeeper();
      await watchedBy(keeper, faulty);
      const heir = await startWorker();
      expect(await faulty.end('SIGUSR2')).toBe(75);
      const message = 'unexpected exception: the worker hands its activities over and exits';
      expect(faulty.lines().find(({ msg }) => msg === message)).toMatchObject({
        level: 60,
        origin,
        err: { message: 'boom' },
      });
      const watch = await watchedBy(keeper, heir);
      expect(watch.lastFailure?.applicationFailureInfo?.type).toBe('WORKER_SHUTDOWN');
      await keeper.executeUpdate(stopKeeper);
      await keeper.result();
    },
  );

  it('serves metrics for Prometheus', async () => {
    const address = `127.27.1.2:${await freePort('127.27.1.2')}`;
    const worker = await startWorker(['--metrics', address]);
    await watchedBy(await startKeeper(), worker);
    const scrape = async () => {
      const response = await fetch(`http://${address}/metrics`);
      return response.status === 200 ? response.text() : undefined;
    };
    const text = await eventually('its first workflow task is counted', async () => {
      const metrics = (await scrape()) ?? '';
      return /^temporal_workflow_task_execution_latency\w*_count\{.*\} [1-9]/m.test(metrics) && metrics;
    });
    expect(text).toMatch(/^# TYPE temporal_worker_task_slots_available gauge$/m);
    expect(text).toMatch(/^temporal_activity_poll_no_task\w*|^temporal_num_pollers\{/m);
    expect(text).toContain(`task_queue="${taskQueue}"`);
    // A request that fails is counted when one has failed.
    const documented = [...(await workerMetrics())].filter(([name]) => name !== 'temporal_request_failure');
    await eventually('the documented metrics are there', async () => {
      const now = (await scrape()) ?? '';
      return documented.every(([name, type]) => now.includes(`# TYPE ${name} ${type}\n`));
    });
  });
});

describe('a worker without a Temporal server', { timeout: 120_000 }, () => {
  it('waits for one, logs that, and begins when it comes up', async () => {
    await server.kill();
    let waiting: WorkerProcess;
    try {
      waiting = new WorkerProcess();
      expect(await waiting.logged('waiting for the Temporal server')).toMatchObject({
        code: 'TEMPORAL_UNREACHABLE',
        address: server.address,
      });
    } finally {
      await server.restart();
    }
    await waiting.logged('the worker is ready');
    const keeper = await startKeeper();
    await watchedBy(keeper, waiting);
    expect(await keeper.query(keeperState)).toMatchObject({ generation: 0 });
    // Once, not at every attempt.
    const logged = waiting.lines().filter(({ msg }) => msg === 'waiting for the Temporal server');
    expect(logged).toHaveLength(1);
  });

  it('ends on SIGTERM while it waits, with 0', async () => {
    await server.kill();
    try {
      const waiting = new WorkerProcess();
      await waiting.logged('waiting for the Temporal server');
      expect(await waiting.end('SIGTERM')).toBe(0);
      expect(waiting.lines().at(-1)).toMatchObject({ msg: 'the worker has shut down' });
    } finally {
      await server.restart();
    }
  });
});
