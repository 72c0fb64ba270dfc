/** The framework's state in this process, with the rules of the workflow that keeps it in production. */
import type { ErrorCode } from '../../src/errors/codes.js';
import { PerijoveError } from '../../src/errors/error.js';
import { remember } from '../../src/mesos/scheduler/framework-events.js';
import type { FrameworkStore } from '../../src/mesos/scheduler/deps.js';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import type { FrameworkState, SchedulerLease } from '../../src/temporal/contract.js';
import {
  claim,
  claimRejection,
  emptyState,
  frameworkIdRejection,
  intentsRejection,
  leaseRejection,
  withFencing,
  withFrameworkId,
  withIntents,
  withMasters,
  withMesos,
  withMissing,
  withRetiring,
  withTaskUpdates,
} from '../../src/workflows/framework-state.js';

export type StoreCall = Exclude<keyof FrameworkStore, 'load' | 'claim'>;

export class MemoryStore {
  state: FrameworkState = emptyState;
  /** What was written, in order. */
  readonly writes: StoreCall[] = [];
  #attempts = 0;

  /** @param spec the current spec */
  constructor(public spec: ClusterSpec) {}

  /**
   * The store as the next scheduler sees it. `afterwards` is called when a write has been carried out and its
   * response is pending.
   */
  next(afterwards: (call: StoreCall) => Promise<void> | void = () => undefined): FrameworkStore {
    this.#attempts += 1;
    const now = () => new Date().toISOString();
    const lease: SchedulerLease = { run: 1, attempt: this.#attempts };
    const write = async (call: StoreCall, change: () => FrameworkState): Promise<FrameworkState> => {
      reject('SCHEDULER_REPLACED', leaseRejection(this.state, lease));
      this.state = remember(this.state, change(), now());
      this.writes.push(call);
      const { state } = this;
      await afterwards(call);
      return state;
    };
    return {
      claim: async () => {
        reject('SCHEDULER_REPLACED', claimRejection(this.state, lease.run, lease));
        this.state = remember(this.state, claim(this.state, lease, `attempt ${lease.attempt}`), now());
        return this.state;
      },
      load: async () => {
        reject('SCHEDULER_REPLACED', leaseRejection(this.state, lease));
        return this.state;
      },
      storeFrameworkId: async (frameworkId, found) => {
        reject('SCHEDULER_REPLACED', frameworkIdRejection(this.state, frameworkId));
        await write('storeFrameworkId', () => withFrameworkId(this.state, frameworkId, found));
      },
      storeIntents: async (intents) => {
        reject('INTENT_REJECTED', intentsRejection(this.state, intents));
        return await write('storeIntents', () => withIntents(this.state, intents, now()));
      },
      storeTaskUpdates: async (updates) => {
        await write('storeTaskUpdates', () => withTaskUpdates(this.state, updates, now(), this.spec));
      },
      storeFencing: async (outcomes) =>
        await write('storeFencing', () => withFencing(this.state, outcomes, now(), this.spec)),
      storeRetiring: async (taskId) => await write('storeRetiring', () => withRetiring(this.state, taskId)),
      storeMesos: async (observed) => {
        await write('storeMesos', () => withMesos(this.state, observed));
      },
      storeMissing: async (missing) => {
        await write('storeMissing', () => withMissing(this.state, missing));
      },
      storeMasters: async (masters) => {
        await write('storeMasters', () => withMasters(this.state, masters));
      },
    };
  }

  /** Node → task ID of those that run. */
  running(): Record<string, string> {
    const running = Object.values(this.state.tasks).filter(({ state }) => state === 'TASK_RUNNING');
    return Object.fromEntries(running.map(({ node, taskId }) => [node, taskId]));
  }
}

function reject(code: ErrorCode, why: string | undefined): void {
  if (why !== undefined) throw new PerijoveError(code, why);
}
