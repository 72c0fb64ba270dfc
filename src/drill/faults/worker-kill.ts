import { PerijoveError } from '../../errors/error.js';
import type { DrillOf, FaultKind } from './kind.js';
import { absent, labOf } from './reaching.js';

/** Kills a worker. */
export interface WorkerKill {
  readonly kind: 'worker-kill';
  readonly worker: string;
}

export const workerKillDrills = [
  {
    name: 'worker-kill',
    what: 'SIGKILL to the worker that runs the scheduler of the framework, or the watch of the keeper',
    target: 'worker',
    expects: 'worker-moves',
    mayFail: 'none',
    budgetMs: { warm: 10_000, cold: 10_000 },
    needs: 'lab',
    plan: async (deps, { keeper, scheduler }, target) => {
      const worker = target === 'keeper' ? keeper : scheduler;
      if (worker === undefined) throw absent(`no worker runs the ${target}`);
      if (labOf(deps, 'worker-kill').workers() < 2) {
        throw new PerijoveError(
          'DRILL_UNSAFE',
          'only one worker is running, so no other worker could continue',
        );
      }
      return { kind: 'worker-kill', worker };
    },
  },
] as const satisfies readonly DrillOf<WorkerKill>[];

export const workerKill: FaultKind<WorkerKill> = {
  kind: 'worker-kill',
  inject: (deps, { kind, worker }) => labOf(deps, kind).killWorker(worker),
  heal: (deps, { kind }) => labOf(deps, kind).provideWorkers(),
  injected: ({ worker }) => `SIGKILL to worker ${worker}`,
  healed: () => 'started another worker',
  endsWorker: ({ worker }) => worker,
};
