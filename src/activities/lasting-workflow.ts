import { Context } from '@temporalio/activity';
import { WithStartWorkflowOperation, type Client } from '@temporalio/client';
import type { UpdateDefinition } from '@temporalio/common';
import type { ClusterSpec } from '../cluster/spec.js';
import { lasting } from '../temporal/options.js';
import { startOptions } from '../temporal/start-options.js';

/** A workflow that lives as long as its cluster, and the update that gives it a spec. */
export interface LastingWorkflow<T, Args extends [ClusterSpec, ...unknown[]]> {
  readonly name: string;
  readonly workflowId: string;
  /** Its title in Temporal's Web UI. */
  readonly summary: string;
  readonly configure: UpdateDefinition<T, Args>;
  readonly args: Args;
  /** What its first run starts with, beside the spec. */
  readonly input?: Readonly<Record<string, unknown>>;
}

/**
 * Starts the workflow with the spec, or hands the spec to the one that runs. To be called from an activity: a retry
 * after a lost answer returns the answer of the first attempt.
 */
export async function startOrConfigure<T, Args extends [ClusterSpec, ...unknown[]]>(
  client: Client,
  spec: ClusterSpec,
  { name, workflowId, summary, configure, args, input }: LastingWorkflow<T, Args>,
): Promise<T> {
  const { info } = Context.current();
  return await client.workflow.executeUpdateWithStart(configure, {
    args,
    updateId: `${info.workflowExecution?.runId ?? ''}/${info.activityId}`,
    startWorkflowOperation: new WithStartWorkflowOperation(name, {
      workflowId,
      args: [{ spec, ...input }],
      ...lasting,
      workflowIdConflictPolicy: 'USE_EXISTING',
      ...startOptions(spec.name, summary),
    }),
  });
}
