import { setTimeout as delay } from 'node:timers/promises';
import type { Client, WorkflowHandle } from '@temporalio/client';
import proto from '@temporalio/proto';
import { untilAnswered } from '../temporal/answers.js';
import { aborted } from './aborted.js';
import { silenceOf, waitsOf } from './waits.js';

const patienceMs = 5_000;
const waitMs = 2_000;
/** How long the server holds a question for the end of a workflow. */
const longPollMs = 20_000;

/**
 * Waits for the end of a workflow. Resolves to undefined when the signal aborts: the workflow continues.
 *
 * @param onWait called with what it waits for, on each change
 * @throws WorkflowFailedError
 */
export async function attend<T>(
  client: Client,
  handle: WorkflowHandle,
  signal: AbortSignal,
  onWait: (text: string) => void,
): Promise<T | undefined> {
  const result = untilAnswered(client, () => handle.result() as Promise<T>, {
    receiver: handle.workflowId,
    signal,
    firstMs: longPollMs,
  }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
    return undefined;
  });
  result.catch(() => undefined);
  const stopped = aborted(signal).then(() => undefined);
  const ended = new AbortController();
  const watch = reportWaits(client, handle, ended.signal, onWait);
  try {
    return await Promise.race([result, stopped]);
  } finally {
    ended.abort();
    await watch;
  }
}

/** Runs until the signal aborts. Reports nothing new while the server does not respond. */
async function reportWaits(
  client: Client,
  handle: WorkflowHandle,
  signal: AbortSignal,
  onWait: (text: string) => void,
): Promise<void> {
  const passed = (ms: number) => delay(ms, true, { signal }).catch(() => false);
  let reported: readonly string[] = [];
  const startedAt = Date.now();
  for (let pauseMs = patienceMs; await passed(pauseMs); pauseMs = waitMs) {
    const texts = await currentWaits(client, handle, startedAt).catch(() => reported);
    for (const text of texts) if (!reported.includes(text)) onWait(text);
    reported = texts;
  }
}

async function currentWaits(
  client: Client,
  handle: WorkflowHandle,
  startedAt: number,
): Promise<readonly string[]> {
  if (await isUntaken(handle)) return [await silenceOf(client, handle.workflowId, startedAt)];
  return (await waitsOf(client, handle.workflowId)).map((text) => `waiting: ${text}`);
}

/** Whether the workflow's next step waits for a worker. */
async function isUntaken(handle: WorkflowHandle): Promise<boolean> {
  const { raw } = await handle.describe();
  const { PENDING_WORKFLOW_TASK_STATE_SCHEDULED: scheduled } =
    proto.temporal.api.enums.v1.PendingWorkflowTaskState;
  return raw.pendingWorkflowTask?.state === scheduled;
}
