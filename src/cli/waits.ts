/**
 * What a workflow waits for: activities that are being retried, or that report what they wait for by
 * heartbeat.
 */
import type { Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import proto, { type temporal } from '@temporalio/proto';
import { errorCodes } from '../errors/codes.js';
import { messageOf } from '../errors/error.js';
import { whyUnanswered } from '../temporal/answers.js';
import { incompatibilityOf, incompatibleText } from '../temporal/incompatibility.js';
import { decodeFailure, decodePayload } from '../temporal/payload-codec.js';
import { lastWorker, slowOrEnded } from '../temporal/workers.js';
import { reportOf } from './report.js';

type PendingWorkflowTask = temporal.api.workflow.v1.IPendingWorkflowTaskInfo;
type PendingActivity = temporal.api.workflow.v1.IPendingActivityInfo;

const { PENDING_ACTIVITY_STATE_STARTED: started } = proto.temporal.api.enums.v1.PendingActivityState;

export const noWorker =
  'no worker is responding; start one with `perijove worker` on a machine that reaches the hosts over SSH';

const { PENDING_WORKFLOW_TASK_STATE_STARTED: taken } = proto.temporal.api.enums.v1.PendingWorkflowTaskState;
const askMs = 2_000;
/** Of a workflow that no worker has taken up: its start, and its first workflow task. */
const untouchedLength = 2;

/**
 * Why a workflow has not answered what it was asked at `askedAt` (milliseconds since the epoch), for people. A server
 * or a worker that may be busy is not called absent: a worker is to be started only when none is there. Never rejects.
 */
export async function silenceOf(client: Client, workflowId: string, askedAt: number): Promise<string> {
  try {
    return await client.withDeadline(Date.now() + askMs, async () => {
      const [described, worker] = await Promise.all([
        client.workflow.getHandle(workflowId).describe(),
        lastWorker(client),
      ]);
      const { raw, historyLength } = described;
      if (await incompatibilityOf(client, described)) {
        return `${incompatibleText(workflowId)}; \`perijove up\` starts it again`;
      }
      const why = whySilent(raw.pendingWorkflowTask, worker, askedAt);
      return historyLength > untouchedLength ? `${workflowId} is resuming: ${why}` : why;
    });
  } catch (error) {
    const why = whyUnanswered(error) ?? messageOf(error);
    return `the Temporal server is not responding (${why}); ${workflowId} resumes when it returns`;
  }
}

/** @param worker the one that asked for work last */
export function whySilent(
  task: PendingWorkflowTask | null | undefined,
  worker: { readonly identity: string; readonly at: number } | undefined,
  askedAt: number,
): string {
  const who = worker === undefined ? 'its worker' : `the worker ${worker.identity}`;
  const isThere = task?.state === taken || (worker !== undefined && worker.at >= askedAt);
  if (!isThere) return worker === undefined ? noWorker : `${who} ${slowOrEnded}`;
  return (task?.attempt ?? 1) > 1
    ? `${who} is retrying its last step, which failed or timed out`
    : `${who} is slow and has not answered yet`;
}

/**
 * One text per thing that the workflow and its children wait for: the activity's heartbeat report, else the
 * failure of its last attempt. Empty while nothing fails.
 */
export async function waitsOf(client: Client, workflowId: string): Promise<readonly string[]> {
  const { raw } = await client.workflow.getHandle(workflowId).describe();
  const own = await Promise.all((raw.pendingActivities ?? []).map((activity) => waitOf(client, activity)));
  const ofChildren = await Promise.all(
    (raw.pendingChildren ?? []).map(async ({ workflowId: child }) =>
      // It may have ended meanwhile.
      child ? waitsOf(client, child).catch(() => []) : [],
    ),
  );
  const texts = own.filter((text) => text !== undefined);
  return [...new Set([...texts, ...ofChildren.flat()])];
}

async function waitOf(
  client: Client,
  { state, heartbeatDetails, lastFailure }: PendingActivity,
): Promise<string | undefined> {
  const { loadedDataConverter } = client.options;
  const [heartbeat] = heartbeatDetails?.payloads ?? [];
  if (state === started && heartbeat) {
    const reported = await decodePayload(loadedDataConverter, heartbeat);
    if (typeof reported === 'string') return reported;
  }
  if (!lastFailure) return undefined;
  const failure = await decodeFailure(loadedDataConverter, lastFailure);
  if (!(failure instanceof ApplicationFailure) || failure.type === 'WORKER_SHUTDOWN') return undefined;
  if (!((failure.type ?? '') in errorCodes)) return undefined;
  const { code, message, place } = reportOf(failure);
  const where = place.host === undefined || message.includes(place.host) ? '' : `${place.host}: `;
  return `${where}${message} (${code}); retrying`;
}
