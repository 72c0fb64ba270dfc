/**
 * What a workflow waits for: activities that are being retried, or that report what they wait for by
 * heartbeat.
 */
import type { Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import proto, { type temporal } from '@temporalio/proto';
import { errorCodes } from '../errors/codes.js';
import { reportOf } from './report.js';

type PendingActivity = temporal.api.workflow.v1.IPendingActivityInfo;

const { PENDING_ACTIVITY_STATE_STARTED: started } = proto.temporal.api.enums.v1.PendingActivityState;

export const noWorker =
  'no worker is responding; start one with `perijove worker` on a machine that reaches the hosts over SSH';

/**
 * One text per thing that the workflow and its children wait for: the activity's heartbeat report, else the
 * failure of its last attempt. Empty while nothing fails.
 */
export async function waitsOf(client: Client, workflowId: string): Promise<readonly string[]> {
  const { raw } = await client.workflow.getHandle(workflowId).describe();
  const own = (raw.pendingActivities ?? []).flatMap((activity) => waitOf(client, activity) ?? []);
  const ofChildren = await Promise.all(
    (raw.pendingChildren ?? []).map(async ({ workflowId: child }) =>
      // It may have ended meanwhile.
      child ? waitsOf(client, child).catch(() => []) : [],
    ),
  );
  return [...new Set([...own, ...ofChildren.flat()])];
}

function waitOf(
  client: Client,
  { state, heartbeatDetails, lastFailure }: PendingActivity,
): string | undefined {
  const { payloadConverter, failureConverter } = client.options.loadedDataConverter;
  const [heartbeat] = heartbeatDetails?.payloads ?? [];
  if (state === started && heartbeat) {
    const reported: unknown = payloadConverter.fromPayload(heartbeat);
    if (typeof reported === 'string') return reported;
  }
  if (!lastFailure) return undefined;
  const failure = failureConverter.failureToError(lastFailure, payloadConverter);
  if (!(failure instanceof ApplicationFailure) || failure.type === 'WORKER_SHUTDOWN') return undefined;
  if (!((failure.type ?? '') in errorCodes)) return undefined;
  const { code, message, place } = reportOf(failure);
  const where = place.host === undefined || message.includes(place.host) ? '' : `${place.host}: `;
  return `${where}${message} (${code}); retrying`;
}
