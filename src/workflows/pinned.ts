import { workflowInfo } from '@temporalio/workflow';
import type { WorkflowDefinitionOptions } from '@temporalio/common';

/**
 * The options of a workflow that lives as long as its cluster: each of its runs stays with the build of the workers
 * that began it. A server refuses that of a worker that reports no build.
 */
export function pinned(): WorkflowDefinitionOptions {
  const isVersioned = (workflowInfo().currentDeploymentVersion?.deploymentName ?? '') !== '';
  return isVersioned ? { versioningBehavior: 'PINNED' } : {};
}
