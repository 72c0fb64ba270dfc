import type { Client } from '@temporalio/client';
import type { ClusterSpec } from '../cluster/spec.js';
import { frameworkState, workflowIds, type FrameworkState } from '../temporal/contract.js';
import { isRunning } from '../temporal/running.js';

/** The state of the cluster's framework; undefined when its workflow does not run. */
export async function frameworkStateOf(
  client: Client,
  spec: ClusterSpec,
): Promise<FrameworkState | undefined> {
  const workflowId = workflowIds.framework(spec.name);
  if (!(await isRunning(client, workflowId))) return undefined;
  return await client.workflow.getHandle(workflowId).query(frameworkState);
}
