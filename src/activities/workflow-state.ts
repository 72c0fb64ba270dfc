import type { Client } from '@temporalio/client';
import type { ClusterSpec } from '../cluster/spec.js';
import {
  frameworkState,
  keeperState,
  workflowIds,
  type FrameworkState,
  type KeeperState,
} from '../temporal/contract.js';
import { runningState } from '../temporal/running.js';

/** The state of the cluster's framework; undefined when its workflow does not run. */
export async function frameworkStateOf(
  client: Client,
  spec: ClusterSpec,
): Promise<FrameworkState | undefined> {
  return await runningState(client, workflowIds.framework(spec.name), frameworkState);
}

/** The state of the cluster's keeper; undefined when its workflow does not run. */
export async function keeperStateOf(client: Client, spec: ClusterSpec): Promise<KeeperState | undefined> {
  return await runningState(client, workflowIds.keeper(spec.name), keeperState);
}
