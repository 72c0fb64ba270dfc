import path from 'node:path';
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
        const lab = existingLab(stateDir);
        if (!lab.temporal || !isAlive(lab.temporal)) {
          throw new PerijoveError('LAB_WORKER_NOT_STARTED', 'the Temporal server of the lab is not running');
        }
        const provided = provideWorkers(stateDir, lab, perijove, lab.temporal.address);
        writeLab(stateDir, { ...lab, workers: provided.map(({ process }) => process) });
        await workersAtWork(provided, lab.temporal.address, limit);
      });
    },
    async crashHost(name) {
      await crashHost(stateDir, labHost(stateDir, name));
    },
    bootHost: (name) => bootHost(stateDir, labHost(stateDir, name)),
  };
}
