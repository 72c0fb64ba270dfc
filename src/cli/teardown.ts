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
import { startOptions } from '../temporal/start-options.js';
import { noWorker, waitsOf } from './waits.js';
import { aborted } from './aborted.js';

const patienceMs = 5_000;
const waitMs = 2_000;

/**
 * Starts the teardown, or joins the one that runs, and waits for its end. Resolves to undefined when the signal
 * aborts: the workflow goes on.
 *
 * @param onWait told what it waits for, each time that this is something else
 * @throws WorkflowFailedError; PerijoveError TEARDOWN_RUNNING when one runs that removes more, or less
 */
export async function startTeardown(
  client: Client,
  input: TeardownInput,
  signal: AbortSignal,
  onWait: (text: string) => void,
): Promise<TeardownResult | undefined> {
  const handle = await client.workflow.start(workflowNames.teardown, {
    workflowId: workflowIds.teardown(input.spec.name),
    args: [input],
    workflowIdConflictPolicy: 'USE_EXISTING',
    memo: { [memoKeys.purge]: input.purge },
    ...startOptions(input.spec.name, `Take ${input.spec.name} down`),
  });
  const { memo } = await handle.describe();
  if (memo?.[memoKeys.purge] !== input.purge) {
    const { name } = input.spec;
    throw new PerijoveError(
      'TEARDOWN_RUNNING',
      `${name} is being taken down ${input.purge ? 'without' : 'with'} --purge`,
      { subject: name },
    );
  }
  const result = client.connection.withAbortSignal(signal, () => handle.result() as Promise<TeardownResult>);
  result.catch(() => undefined);
  const ended = new AbortController();
  const told = tellWaits(client, handle, ended.signal, onWait);
  const stopped = aborted(signal).then(() => undefined);
  try {
    return await Promise.race([result, stopped]);
  } finally {
    ended.abort();
    await told;
  }
}

/** Until the signal aborts. A server that does not answer has nothing to tell. */
async function tellWaits(
  client: Client,
  handle: WorkflowHandle,
  signal: AbortSignal,
  onWait: (text: string) => void,
): Promise<void> {
  const passed = (ms: number) => delay(ms, true, { signal }).catch(() => false);
  let told: readonly string[] = [];
  for (let pauseMs = patienceMs; await passed(pauseMs); pauseMs = waitMs) {
    const texts = await lookForWaits(client, handle).catch(() => told);
    for (const text of texts) if (!told.includes(text)) onWait(text);
    told = texts;
  }
}

async function lookForWaits(client: Client, handle: WorkflowHandle): Promise<readonly string[]> {
  if (await isUntaken(handle)) return [noWorker];
  return (await waitsOf(client, handle.workflowId)).map((text) => `waiting: ${text}`);
}

/** Whether the workflow's next step lies there for any worker to take. */
async function isUntaken(handle: WorkflowHandle): Promise<boolean> {
  const { raw } = await handle.describe();
  const { PENDING_WORKFLOW_TASK_STATE_SCHEDULED: scheduled } =
    proto.temporal.api.enums.v1.PendingWorkflowTaskState;
  return raw.pendingWorkflowTask?.state === scheduled;
}
