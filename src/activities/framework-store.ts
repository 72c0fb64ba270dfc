import {
  isGrpcServiceError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  type Client,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { errorCodes, type ErrorCode } from '../errors/codes.js';
import { PerijoveError } from '../errors/error.js';
import { pauseAfter, type BackOff } from '../net/back-off.js';
import { pause } from '../net/pause.js';
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
import { askWithin } from '../temporal/running.js';

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
const backOff: BackOff = { firstMs: 100, longestMs: 2_000 };

/** The framework workflow as the scheduler's store: writes are its updates, reads its query. */
export function workflowStore(options: WorkflowStoreOptions): FrameworkStore {
  const { client, workflowId, lease, worker, signal } = options;
  const handle = client.workflow.getHandle(workflowId);
  const ask = <T>(question: () => Promise<T>): Promise<T> =>
    untilAnswered(() => abortable(client, signal, question), workflowId, signal);
  /** The same update ID at every attempt: an update whose response was lost is not carried out again. */
  const update: typeof handle.executeUpdate = (...args: Parameters<typeof handle.executeUpdate>) => {
    const [definition, given] = args;
    const updateId = crypto.randomUUID();
    return ask(() => handle.executeUpdate(definition, { ...given, updateId }));
  };
  const query = () => ask(() => askWithin(client, queryMs, () => handle.query(frameworkState)));
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

/**
 * Retries while Temporal cannot be reached.
 *
 * @throws the signal's reason; PerijoveError with the code of a refusal; SCHEDULER_REPLACED when the workflow
 * no longer exists
 */
async function untilAnswered<T>(
  question: () => Promise<T>,
  workflowId: string,
  signal: AbortSignal,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      return await question();
    } catch (error) {
      signal.throwIfAborted();
      if (!isOutage(error)) throw meaningOf(error, workflowId);
      await pause(pauseAfter(attempt, backOff), signal);
    }
  }
}

/** The client never removes its listeners from a signal, and this one lives as long as the scheduler. */
async function abortable<T>(client: Client, signal: AbortSignal, question: () => Promise<T>): Promise<T> {
  const call = new AbortController();
  const abort = () => call.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await client.withAbortSignal(call.signal, question);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function isOutage(error: unknown): boolean {
  if (error instanceof WorkflowNotFoundError) return false;
  return error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isGrpcServiceError(causeOf(error));
}

function causeOf(error: unknown): unknown {
  return error instanceof Error && !isGrpcServiceError(error) && error.cause !== undefined
    ? error.cause
    : error;
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
