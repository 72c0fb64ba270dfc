/** Questions that activities ask other workflows: while one is unanswered, the activity waits and reports it. */
import { Context } from '@temporalio/activity';
import type { Client, WorkflowHandle } from '@temporalio/client';
import type { QueryDefinition } from '@temporalio/common';
import { untilAnswered, type Asking } from '../temporal/answers.js';
import { isRunning, runningState } from '../temporal/running.js';

/** Shorter than one attempt of any activity; the next attempt asks again. */
const patienceMs = 40_000;
/** What takes a while to carry out: each poll of the server for its end lasts this long. */
const pollMs = 20_000;

/**
 * The answer to a question, which may be asked several times. What is waited for goes with the heartbeats.
 *
 * @throws the cancellation; what the question throws as its answer; PerijoveError WORKFLOW_NOT_ANSWERING
 */
export async function ask<T>(
  client: Client,
  receiver: string,
  question: () => Promise<T>,
  limits: Pick<Asking, 'firstMs' | 'patienceMs'> = {},
): Promise<T> {
  const context = Context.current();
  return await untilAnswered(client, question, {
    receiver,
    signal: context.cancellationSignal,
    patienceMs,
    ...limits,
    onWait: (why) => context.heartbeat(why),
  });
}

/** The answer of a running workflow to a query; undefined when no workflow of that ID is running. */
export async function askState<T>(
  client: Client,
  workflowId: string,
  query: QueryDefinition<T>,
): Promise<T | undefined> {
  return await ask(client, workflowId, () => runningState(client, workflowId, query));
}

/** Whether a workflow of that ID is running. */
export async function askRunning(client: Client, workflowId: string): Promise<boolean> {
  return await ask(client, workflowId, () => isRunning(client, workflowId));
}

/**
 * Has a workflow do something that may take long, such as an update or its end. `order` is given the same ID at each
 * attempt: an update whose answer was lost is not carried out again.
 *
 * @throws WorkflowUpdateFailedError with the refusal; WorkflowNotFoundError when no workflow of that ID is running
 */
export async function askToDo<T>(
  client: Client,
  workflowId: string,
  order: (handle: WorkflowHandle, updateId: string) => Promise<T>,
): Promise<T> {
  const handle = client.workflow.getHandle(workflowId);
  const updateId = crypto.randomUUID();
  return await ask(client, workflowId, () => order(handle, updateId), {
    firstMs: pollMs,
    patienceMs: Infinity,
  });
}
