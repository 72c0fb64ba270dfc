import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PerijoveError } from '../errors/error.js';
import { connectClient, type TemporalClient } from '../temporal/connect.js';
import { taskQueue } from '../temporal/contract.js';
import { startCentral } from './central.js';
import { isAlive, type ProcessIdentity } from './processes.js';
import { labPaths, type LabState } from './state.js';
import { tail } from './machine.js';

/** Two, so that losing one does no harm. */
export const workerCount = 2;

/** A worker process; it may not be connected yet. */
export interface StartedWorker {
  readonly process: ProcessIdentity;
  readonly log: string;
}

/**
 * The lab's live workers, with replacements for those that ended.
 *
 * @param entry the program to run with the argument `worker`
 */
export function provideWorkers(
  stateDir: string,
  lab: LabState,
  entry: string,
  address: string,
): StartedWorker[] {
  const log = (index: number) => path.join(labPaths(stateDir).workerLogs, `${index}.log`);
  const alive = lab.workers.filter(isAlive);
  return Array.from({ length: workerCount }, (_, index) => {
    const process = alive[index] ?? startWorker(stateDir, entry, address, log(index));
    return { process, log: log(index) };
  });
}

function startWorker(stateDir: string, entry: string, address: string, logFile: string): ProcessIdentity {
  const identity = startCentral({ stateDir, address, logFile, words: [entry, 'worker'] });
  if (!identity)
    throw new PerijoveError('LAB_WORKER_NOT_STARTED', 'cannot start a worker', { file: logFile });
  return identity;
}

/**
 * Resolves when each worker polls the server.
 *
 * @throws PerijoveError LAB_WORKER_NOT_STARTED with the end of its log; the signal's reason when it aborts
 */
export async function workersAtWork(
  workers: readonly StartedWorker[],
  address: string,
  signal: AbortSignal,
): Promise<void> {
  const temporal = await connectClient({ address, namespace: 'default' });
  try {
    for (const worker of workers) {
      while (!(await polls(temporal, worker.process.pid))) {
        if (!isAlive(worker.process)) {
          throw new PerijoveError('LAB_WORKER_NOT_STARTED', `a worker exited:\n${tail(worker.log)}`, {
            file: worker.log,
          });
        }
        await delay(100, undefined, { signal });
      }
    }
  } finally {
    await temporal.close();
  }
}

/** The identity of a worker is `pid@host`. */
async function polls({ connection, namespace }: TemporalClient, pid: number): Promise<boolean> {
  const { pollers } = await connection.workflowService.describeTaskQueue({
    namespace,
    taskQueue: { name: taskQueue },
    taskQueueType: 1, // TASK_QUEUE_TYPE_WORKFLOW
  });
  return (pollers ?? []).some(({ identity }) => identity?.startsWith(`${pid}@`));
}
