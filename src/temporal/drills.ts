/** Which drills a cluster has had, by their workflows. */
import { WorkflowNotFoundError, type Client, type WorkflowExecutionDescription } from '@temporalio/client';
import { drillPrefix, workflowIds, workflowNames } from './contract.js';

/** Asks until there is an answer, as `untilAnswered` does. */
export type Ask = <T>(receiver: string, question: () => Promise<T>) => Promise<T>;

/** Undefined when there is no such drill. */
export async function describeDrill(
  client: Client,
  { cluster, number, ask }: { readonly cluster: string; readonly number: number; readonly ask: Ask },
): Promise<WorkflowExecutionDescription | undefined> {
  const workflowId = workflowIds.drill(cluster, number);
  try {
    return await ask(workflowId, () => client.workflow.getHandle(workflowId).describe());
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/**
 * The highest drill number of the cluster, 0 before the first. The server's list may lag behind, so newer ones are
 * asked for by their IDs.
 */
export async function newestDrill(client: Client, cluster: string, ask: Ask): Promise<number> {
  let newest = Math.max(0, ...(await listed(client, cluster, ask)));
  while (await describeDrill(client, { cluster, number: newest + 1, ask })) newest += 1;
  return newest;
}

/** The numbers of the drills that are running. */
export async function runningDrills(client: Client, cluster: string, ask: Ask): Promise<number[]> {
  const newest = await newestDrill(client, cluster, ask);
  const candidates = new Set([
    newest,
    ...(await listed(client, cluster, ask, "ExecutionStatus = 'Running'")),
  ]);
  candidates.delete(0);
  const running: number[] = [];
  for (const number of candidates) {
    const description = await describeDrill(client, { cluster, number, ask });
    if (description?.status.name === 'RUNNING') running.push(number);
  }
  return running.toSorted((a, b) => a - b);
}

async function listed(client: Client, cluster: string, ask: Ask, condition?: string): Promise<number[]> {
  const prefix = drillPrefix(cluster);
  const parts = [`WorkflowType = '${workflowNames.drill}'`, `WorkflowId STARTS_WITH '${prefix}'`, condition];
  const query = parts.filter((part) => part !== undefined).join(' AND ');
  return await ask(`the drills of ${cluster}`, async () => {
    const numbers: number[] = [];
    for await (const { workflowId } of client.workflow.list({ query })) {
      const number = Number(workflowId.slice(prefix.length));
      if (Number.isInteger(number) && number > 0) numbers.push(number);
    }
    return numbers;
  });
}
