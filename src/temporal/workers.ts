/** Which workers there are, as the server knows it. */
import type { Client } from '@temporalio/client';
import proto from '@temporalio/proto';
import { taskQueue } from './contract.js';

const { TASK_QUEUE_TYPE_WORKFLOW: workflow } = proto.temporal.api.enums.v1.TaskQueueType;
const { WORKER_VERSIONING_MODE_VERSIONED: versioned } = proto.temporal.api.enums.v1.WorkerVersioningMode;
/** An idle worker asks for work once in a long poll, which lasts a minute; one that is busy may be late. */
const silentMs = 65_000;

export interface Poller {
  /** `pid@host`. */
  readonly identity: string;
  /** When it asked for work last, in milliseconds since the epoch. */
  readonly at: number;
  /** Null for a worker without one. */
  readonly build: string | null;
}

/** All that asked the server for workflow tasks in the last minutes, the latest first. */
export async function pollersOf(client: Client): Promise<readonly Poller[]> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: taskQueue },
    taskQueueType: workflow,
  });
  return (pollers ?? [])
    .map(({ identity, lastAccessTime, deploymentOptions }) => ({
      identity: identity ?? '',
      at: Number(lastAccessTime?.seconds ?? 0) * 1_000 + (lastAccessTime?.nanos ?? 0) / 1e6,
      build:
        deploymentOptions?.workerVersioningMode === versioned ? (deploymentOptions.buildId ?? null) : null,
    }))
    .toSorted((a, b) => b.at - a.at);
}

/** Whether it may be running; one that was killed counts for a minute. */
export function isPolling({ at }: Pick<Poller, 'at'>): boolean {
  return Date.now() - at < silentMs;
}

/**
 * The worker that asked the server for workflow tasks last. Undefined when none has asked for so long that none can be
 * running; one that was killed counts for a minute.
 */
export async function lastWorker(
  client: Client,
): Promise<{ readonly identity: string; readonly at: number } | undefined> {
  const [newest] = await pollersOf(client);
  return newest !== undefined && isPolling(newest) ? newest : undefined;
}

/** What is said of a worker that has asked for work lately, and does not answer. */
export const slowOrEnded = 'is slow, or has just ended';
