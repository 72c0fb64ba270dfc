/** What a workflow waits for, where its own word does not say: activities that try again, or say what they wait for. */
import type { Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import {
  decodeArrayFromPayloads,
  decodeOptionalFailureToOptionalError,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import proto, { type temporal } from '@temporalio/proto';
import { errorCodes } from '../errors/codes.js';
import { reportOf } from './report.js';

type PendingActivity = temporal.api.workflow.v1.IPendingActivityInfo;

const { PENDING_ACTIVITY_STATE_STARTED: started } = proto.temporal.api.enums.v1.PendingActivityState;

export const noWorker =
  'waiting for a worker: none answers; start one with `perijove worker` where the hosts can be reached by SSH';

/**
 * One text for each thing that the workflow and its children wait for: what an activity says with its heartbeat,
 * else what its last attempt failed with. Empty while all is well.
 */
export async function waitsOf(client: Client, workflowId: string): Promise<readonly string[]> {
  const { raw } = await client.workflow.getHandle(workflowId).describe();
  const texts = await Promise.all([
    ...(raw.pendingActivities ?? []).map(async (activity) => {
      const text = await waitOf(client, activity);
      return text === undefined ? [] : [text];
    }),
    ...(raw.pendingChildren ?? []).map(({ workflowId: child }) =>
      // It may have ended in between.
      child ? waitsOf(client, child).catch(() => []) : [],
    ),
  ]);
  return [...new Set(texts.flat())];
}

async function waitOf(client: Client, activity: PendingActivity): Promise<string | undefined> {
  const converter = client.options.loadedDataConverter;
  if (activity.state === started) {
    const [said] = await decodeArrayFromPayloads(converter, activity.heartbeatDetails?.payloads);
    if (typeof said === 'string') return said;
  }
  const failure = await decodeOptionalFailureToOptionalError(converter, activity.lastFailure);
  if (!(failure instanceof ApplicationFailure) || failure.type === 'WORKER_SHUTDOWN') return undefined;
  if (!((failure.type ?? '') in errorCodes)) return undefined;
  const { code, message, place } = reportOf(failure);
  const where = place.host === undefined || message.includes(place.host) ? '' : `${place.host}: `;
  return `${where}${message} (${code}); it is tried again`;
}
