import { WorkflowNotFoundError, WorkflowUpdateFailedError, type Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { errorCodes, type ErrorCode } from '../errors/codes.js';
import { PerijoveError } from '../errors/error.js';
import type { FrameworkStore } from '../mesos/scheduler/deps.js';
import {
  claimScheduler,
  frameworkState,
  storeFencing,
  storeFrameworkId,
  storeIntents,
  storeMasters,
  storeMesos,
  storeMissing,
  storeRetiring,
  storeTaskUpdates,
  type FrameworkState,
  type SchedulerLease,
} from '../temporal/contract.js';
import { untilAnswered } from '../temporal/answers.js';

export interface WorkflowStoreOptions {
  readonly client: Client;
  readonly workflowId: string;
  readonly lease: SchedulerLease;
  /** This worker's name for operators: `pid@host`. */
  readonly worker: string;
  /** Aborts the wait for the server. */
  readonly signal: AbortSignal;
}

/** Temporal may have sent the query to a suspended worker, which never answers it. */
const queryMs = 3_000;
/** The server's own long poll. */
const updateMs = 20_000;

/**
 * The framework workflow as the scheduler's store: writes are its updates, reads its query. Calls are repeated until
 * they are answered. They reject with the signal's reason, with the code of a refusal, or with SCHEDULER_REPLACED when
 * the workflow no longer exists.
 */
export function workflowStore(options: WorkflowStoreOptions): FrameworkStore {
  const { client, workflowId, lease, worker, signal } = options;
  const handle = client.workflow.getHandle(workflowId);
  const ask = async <T>(question: () => Promise<T>, firstMs: number): Promise<T> => {
    try {
      return await untilAnswered(client, question, { receiver: workflowId, signal, firstMs });
    } catch (error) {
      signal.throwIfAborted();
      throw meaningOf(error, workflowId);
    }
  };
  /** The same update ID at every attempt: an update whose response was lost is not carried out again. */
  const update: typeof handle.executeUpdate = (...args: Parameters<typeof handle.executeUpdate>) => {
    const [definition, given] = args;
    const updateId = crypto.randomUUID();
    return ask(() => handle.executeUpdate(definition, { ...given, updateId }), updateMs);
  };
  const query = () => ask(() => handle.query(frameworkState), queryMs);
  const isOurs = ({ lease: stored }: FrameworkState) =>
    stored?.run === lease.run && stored.attempt === lease.attempt;

  return {
    claim: async () => {
      const state = await query();
      return isOurs(state) ? state : await update(claimScheduler, { args: [lease, worker] });
    },
    load: async () => {
      const state = await query();
      if (isOurs(state)) return state;
      throw new PerijoveError('SCHEDULER_REPLACED', 'another attempt is the scheduler now');
    },
    storeFrameworkId: (frameworkId, found) => update(storeFrameworkId, { args: [lease, frameworkId, found] }),
    storeIntents: (intents) => update(storeIntents, { args: [lease, intents] }),
    storeTaskUpdates: (updates) => update(storeTaskUpdates, { args: [lease, updates] }),
    storeFencing: (outcomes) => update(storeFencing, { args: [lease, outcomes] }),
    storeMasters: (masters) => update(storeMasters, { args: [lease, masters] }),
    storeRetiring: (taskId) => update(storeRetiring, { args: [lease, taskId] }),
    storeMesos: (facts) => update(storeMesos, { args: [lease, facts] }),
    storeMissing: (missing) => update(storeMissing, { args: [lease, missing] }),
  };
}

function meaningOf(error: unknown, workflowId: string): unknown {
  if (error instanceof WorkflowNotFoundError) {
    return new PerijoveError('SCHEDULER_REPLACED', `the workflow ${workflowId} has ended`, { cause: error });
  }
  if (error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure) {
    const { type, message } = error.cause;
    if (isCode(type)) return new PerijoveError(type, message, { cause: error });
  }
  return error;
}

function isCode(type: string | null | undefined): type is ErrorCode {
  return typeof type === 'string' && type in errorCodes;
}
