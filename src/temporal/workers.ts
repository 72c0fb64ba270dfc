/** Which workers there are, as the server knows it. */
import type { Client } from '@temporalio/client';
import proto from '@temporalio/proto';
import { taskQueue } from './contract.js';

const { TASK_QUEUE_TYPE_WORKFLOW: workflow } = proto.temporal.api.enums.v1.TaskQueueType;
/** An idle worker asks for work once in a long poll, which lasts a minute; one that is busy may be late. */
const silentMs = 65_000;

/**
 * The worker, as `pid@host`, that asked the server for workflow tasks last, and when, in milliseconds since the epoch.
 * Undefined when none has asked for so long that none can be running; one that was killed counts for a minute.
 */
export async function lastWorker(
  client: Client,
): Promise<{ readonly identity: string; readonly at: number } | undefined> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: taskQueue },
    taskQueueType: workflow,
  });
  const [newest] = (pollers ?? [])
    .map(({ identity, lastAccessTime }) => ({
      identity: identity ?? '',
      at: Number(lastAccessTime?.seconds ?? 0) * 1_000 + (lastAccessTime?.nanos ?? 0) / 1e6,
    }))
    .toSorted((a, b) => b.at - a.at);
  return newest !== undefined && Date.now() - newest.at < silentMs ? newest : undefined;
}

/** What is said of a worker that has asked for work lately, and does not answer. */
export const slowOrEnded = 'is slow, or has just ended';
