import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { QueryDefinition } from '@temporalio/common';
import { memoKeys } from './contract.js';

/** Whether a workflow with that ID is running; false also when there never was one. */
export async function isRunning(client: Client, workflowId: string): Promise<boolean> {
  try {
    const { status } = await client.workflow.getHandle(workflowId).describe();
    return status.name === 'RUNNING';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

/** The response of a running workflow to a query; undefined when no workflow with that ID is running. */
export async function runningState<T>(
  client: Client,
  workflowId: string,
  query: QueryDefinition<T>,
): Promise<T | undefined> {
  if (!(await isRunning(client, workflowId))) return undefined;
  return await client.workflow.getHandle(workflowId).query(query);
}

/** The state in a workflow's memo, which can be read while no worker runs; undefined before it stored any. */
export function storedState<T>({
  memo,
}: {
  readonly memo?: Readonly<Record<string, unknown>> | undefined;
}): T | undefined {
  return memo?.[memoKeys.state] as T | undefined;
}

/** The response of the Temporal server, which must come within `ms`. @throws ServiceError */
export function askWithin<T>(client: Client, ms: number, ask: () => Promise<T>): Promise<T> {
  return client.connection.withDeadline(Date.now() + ms, ask);
}
