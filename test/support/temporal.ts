/** A real Temporal dev server with workers, for tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import { connectClient } from '../../src/temporal/connect.js';
import { taskQueue } from '../../src/temporal/contract.js';
import { findTemporal, startDevServer, type DevServer } from '../../src/temporal/server.js';
import { activityInterceptors } from '../../src/worker/interceptors.js';
import { bundleOf } from './bundles.js';

export interface TestServer {
  readonly address: string;
  readonly client: Client;
  readonly connection: Connection;
  /** PID of the server; changes after `restart`. */
  readonly pid: number;
  /** Stops it with SIGTERM and removes its files. */
  stop(): Promise<void>;
  /** SIGKILLs it; its database stays. */
  kill(): Promise<void>;
  /** Starts it again at the same address, on the same database. */
  restart(): Promise<void>;
}

const running = new Set<number>();
process.once('exit', () => {
  for (const pid of running) signalProcess(pid, 'SIGKILL');
});

/** Starts a server on a free port, headless, with Perijove's search attributes and a database file. */
export async function startTestServer(): Promise<TestServer> {
  const directory = mkdtempSync(path.join(tmpdir(), 'perijove-temporal-'));
  const { executable } = await findTemporal();
  const port = await freePort('127.0.0.1');
  const start = async (): Promise<DevServer> => {
    const server = await startDevServer({
      executable,
      port,
      dbFile: path.join(directory, 'temporal.db'),
      logFile: path.join(directory, 'temporal.log'),
    });
    running.add(server.pid);
    void server.exited.then(() => running.delete(server.pid));
    return server;
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    signalProcess(server.pid, signal);
    await server.exited;
  };

  let server = await start();
  const { client, connection, close } = await connectClient({
    address: server.address,
    namespace: 'default',
  });
  return {
    address: server.address,
    client,
    connection,
    get pid() {
      return server.pid;
    },
    async stop() {
      await close();
      await end('SIGTERM');
      rmSync(directory, { recursive: true, force: true });
    },
    kill: () => end('SIGKILL'),
    async restart() {
      server = await start();
    },
  };
}

export interface TestWorkerOptions {
  readonly server: Pick<TestServer, 'address'>;
  readonly activities: object;
  /** Module of the workflows; all of Perijove's by default. */
  readonly workflowsPath?: string;
  readonly taskQueue?: string;
  readonly identity?: string;
  /** Additional options for the SDK's worker. */
  readonly options?: Partial<WorkerOptions>;
}

export interface TestWorker {
  readonly worker: Worker;
  /** Stops it gracefully; rejects with the error that made it fail. */
  stop(): Promise<void>;
}

/** Starts a worker in this process, with the interceptors of all Perijove workers. */
export async function createTestWorker(options: TestWorkerOptions): Promise<TestWorker> {
  quiet();
  const connection = await NativeConnection.connect({ address: options.server.address });
  const worker = await Worker.create({
    connection,
    taskQueue: options.taskQueue ?? taskQueue,
    workflowBundle: await bundleOf(options.workflowsPath ?? workflowsPath),
    activities: options.activities,
    maxCachedWorkflows: 20,
    stickyQueueScheduleToStartTimeout: '2s',
    maxHeartbeatThrottleInterval: '1s',
    shutdownGraceTime: 0,
    interceptors: { activity: [activityInterceptors] },
    ...(options.identity === undefined ? {} : { identity: options.identity }),
    ...options.options,
  });
  const run = worker.run();
  // stop() reports a failure; until then it must not end the test process.
  run.catch(() => undefined);
  return {
    worker,
    async stop() {
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await run;
      await connection.close();
    },
  };
}

export const workflowsPath = fileURLToPath(new URL('../../src/workflows/index.ts', import.meta.url));

let silenced = false;
/** Suppresses the SDK's log, except errors. Once per process. */
export function quiet(): void {
  if (silenced) return;
  silenced = true;
  Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
}

export async function freePort(ip: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, ip, resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error(`no port on ${ip}`);
  return address.port;
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
