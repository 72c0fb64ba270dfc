import { setTimeout as delay } from 'node:timers/promises';
import type { Client, WorkflowHandle } from '@temporalio/client';
import proto from '@temporalio/proto';
import { PerijoveError } from '../errors/error.js';
import {
  memoKeys,
  workflowIds,
  workflowNames,
  type TeardownInput,
  type TeardownResult,
} from '../temporal/contract.js';
import { untilAnswered } from '../temporal/answers.js';
import { startOptions } from '../temporal/start-options.js';
import { endMisfit } from './misfit.js';
import { silenceOf, waitsOf } from './waits.js';
import { aborted } from './aborted.js';

const patienceMs = 5_000;
const waitMs = 2_000;
const startMs = 5_000;
const startPatienceMs = 30_000;
/** How long the server holds a question for the end of a workflow. */
const longPollMs = 20_000;

/**
 * Starts the teardown or attaches to a running one, and waits for its end. Resolves to undefined when the
 * signal aborts: the workflow continues.
 *
 * @param onWait called with what it waits for, on each change
 * @throws WorkflowFailedError; PerijoveError TEARDOWN_RUNNING when one runs with another `purge`
 */
export async function startTeardown(
  client: Client,
  input: TeardownInput,
  signal: AbortSignal,
  onWait: (text: string) => void,
): Promise<TeardownResult | undefined> {
  const workflowId = workflowIds.teardown(input.spec.name);
  const ask = <T>(question: () => Promise<T>) =>
    untilAnswered(client, question, {
      receiver: workflowId,
      signal: new AbortController().signal,
      firstMs: startMs,
      patienceMs: startPatienceMs,
    });
  await endMisfit(client, workflowId, { signal, onWait });
  const handle = await ask(() =>
    client.workflow.start(workflowNames.teardown, {
      workflowId,
      args: [input],
      workflowIdConflictPolicy: 'USE_EXISTING',
      memo: { [memoKeys.purge]: input.purge },
      ...startOptions(input.spec.name, `Take ${input.spec.name} down`),
    }),
  );
  const { memo } = await ask(() => handle.describe());
  if (memo?.[memoKeys.purge] !== input.purge) {
    const { name } = input.spec;
    throw new PerijoveError(
      'TEARDOWN_RUNNING',
      `a teardown of ${name} ${input.purge ? 'without' : 'with'} --purge is running`,
      { subject: name },
    );
  }
  const result = untilAnswered(client, () => handle.result() as Promise<TeardownResult>, {
    receiver: workflowId,
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
