import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { LabFaults } from '../drill/lab.js';
import { PerijoveError } from '../errors/error.js';
import { withLock } from './lock.js';
import { bootHost, crashHost } from './machine.js';
import { commandArguments, ended, identified, isAlive, signal } from './processes.js';
import { existingLab, labPaths, writeLab } from './state.js';
import { labHost } from './status.js';
import { centralProcesses } from './sweep.js';
import { provideWorkers, workersAtWork } from './workers.js';

const perijove = path.join(fileURLToPath(new URL('../..', import.meta.url)), 'bin', 'perijove.js');
const endMs = 10_000;
const startMs = 60_000;

/** Faults that the lab in `stateDir` can inject, from one of its own workers. */
export function labFaults(stateDir: string): LabFaults {
  const workers = () =>
    [...centralProcesses(stateDir)].filter((pid) => commandArguments(pid)[2] === 'worker');
  return {
    workers: () => workers().length,
    async killWorker(identity) {
      const pid = Number(identity.split('@')[0]);
      const worker = identified(workers).found.find((each) => each.pid === pid);
      if (!worker) return;
      signal(worker, 'SIGKILL');
      if (!(await ended([worker], endMs))) {
        throw new PerijoveError('INTERNAL', `worker ${identity} does not exit`, { subject: identity });
      }
    },
    async provideWorkers() {
      const limit = AbortSignal.timeout(startMs);
      await withLock(labPaths(stateDir).lock, { waiting: () => undefined, signal: limit }, async () => {
        const { provided, address } = provideIn(stateDir);
        await workersAtWork(provided, address, limit);
      });
    },
    async crashHost(name) {
      await crashHost(stateDir, labHost(stateDir, name));
    },
    bootHost: (name) => bootHost(stateDir, labHost(stateDir, name)),
  };
}

/** Starts the workers that are missing, with no regard to `leaving`, and stores them. */
function provideIn(stateDir: string, leaving?: number) {
  const lab = existingLab(stateDir);
  if (!lab.temporal || !isAlive(lab.temporal)) {
    throw new PerijoveError('LAB_WORKER_NOT_STARTED', 'the Temporal server of the lab is not running');
  }
  const { address } = lab.temporal;
  const workers = lab.workers.filter(({ pid }) => pid !== leaving);
  const provided = provideWorkers(stateDir, { ...lab, workers }, perijove, address);
  writeLab(stateDir, { ...lab, workers: provided.map((worker) => worker.process) });
  return { provided, address };
}

/** A worker that fails at once is started again no sooner than this after it was started. */
const shortestLifeMs = 5_000;

/**
 * Starts a worker of the lab in place of this one, which met a fault and exits next; what runs of the lab is looked up
 * under its lock, so a lab that is being stopped gets none. Throws LAB_WORKER_NOT_STARTED where it has been stopped.
 */
export async function startSuccessor(stateDir: string): Promise<void> {
  await delay(Math.max(0, shortestLifeMs - process.uptime() * 1_000));
  const limit = AbortSignal.timeout(startMs);
  await withLock(labPaths(stateDir).lock, { waiting: () => undefined, signal: limit }, async () => {
    provideIn(stateDir, process.pid);
  });
}
