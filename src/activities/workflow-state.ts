import type { Client } from '@temporalio/client';
import type { ClusterSpec } from '../cluster/spec.js';
import {
  frameworkState,
  keeperState,
  workflowIds,
  type FrameworkState,
  type KeeperState,
} from '../temporal/contract.js';
import { PerijoveError } from '../errors/error.js';
import { askState } from './asking.js';

/** The state of the cluster's framework, waited for; undefined when its workflow does not run. */
export async function frameworkStateOf(
  client: Client,
  spec: ClusterSpec,
): Promise<FrameworkState | undefined> {
  return await askState(client, workflowIds.framework(spec.name), frameworkState);
}

/** The state of the cluster's keeper, waited for; undefined when its workflow does not run. */
export async function keeperStateOf(client: Client, spec: ClusterSpec): Promise<KeeperState | undefined> {
  return await askState(client, workflowIds.keeper(spec.name), keeperState);
}

export function schedulerFailed({
  code,
  message,
  remedy,
}: NonNullable<FrameworkState['failure']>): PerijoveError {
  return new PerijoveError('FRAMEWORK_FAILED', `the scheduler gave up (${code}): ${message}`, { remedy });
}
