/** Workflows that answer with a given state, under the IDs of a cluster's own. */
import type { Client } from '@temporalio/client';
import {
  taskQueue,
  workflowIds,
  workflowNames,
  type FrameworkState,
  type KeeperState,
} from '../../src/temporal/contract.js';

export async function startWithStates(
  client: Client,
  cluster: string,
  states: { readonly framework: FrameworkState; readonly keeper: KeeperState },
): Promise<void> {
  for (const name of ['framework', 'keeper'] as const) {
    await client.workflow.start(workflowNames[name], {
      workflowId: workflowIds[name](cluster),
      taskQueue,
      args: [states[name]],
    });
  }
}
