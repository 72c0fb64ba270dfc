import type { Client } from '@temporalio/client';
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
import { attend } from './attend.js';
import { endMisfit } from './misfit.js';

const startMs = 5_000;
const startPatienceMs = 30_000;

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
  return attend<TeardownResult>(client, handle, signal, onWait);
}
