/** What a workflow waits for: activities that are retried, or that report with a heartbeat what they wait for. */
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
  'no worker is responding; start one with `perijove worker` on a machine that reaches the hosts over SSH';

/**
 * One text for each thing that the workflow and its children wait for: what an activity reports with its heartbeat,
 * else the failure of its last attempt. Empty while nothing fails.
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
    const [report] = await decodeArrayFromPayloads(converter, activity.heartbeatDetails?.payloads);
    if (typeof report === 'string') return report;
  }
  const failure = await decodeOptionalFailureToOptionalError(converter, activity.lastFailure);
  if (!(failure instanceof ApplicationFailure) || failure.type === 'WORKER_SHUTDOWN') return undefined;
  if (!((failure.type ?? '') in errorCodes)) return undefined;
  const { code, message, place } = reportOf(failure);
  const where = place.host === undefined || message.includes(place.host) ? '' : `${place.host}: `;
  return `${where}${message} (${code}); retrying`;
}
