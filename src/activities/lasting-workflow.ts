import { Context } from '@temporalio/activity';
import {
  WithStartWorkflowOperation,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  type Client,
  type WorkflowExecutionDescription,
} from '@temporalio/client';
import { ApplicationFailure, type UpdateDefinition } from '@temporalio/common';
import type { ClusterSpec } from '../cluster/spec.js';
import { incompatibility, incompatibleText } from '../temporal/incompatibility.js';
import { lasting as lastingOptions } from '../temporal/options.js';
import { storedState } from '../temporal/running.js';
import { startOptions } from '../temporal/start-options.js';
import { ask } from './asking.js';

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
  /** What is added to its stored state when it is started again from that. */
  readonly resumedWith?: Readonly<Record<string, unknown>>;
}

/**
 * Starts the workflow with the spec, or hands the spec to the one that runs. One that cannot be replayed is started
 * again from its stored state. To be called from an activity: a retry after a lost answer returns the answer of the
 * first attempt.
 */
export async function startOrConfigure<T, Args extends [ClusterSpec, ...unknown[]]>(
  client: Client,
  spec: ClusterSpec,
  lasting: LastingWorkflow<T, Args>,
): Promise<{ readonly answer: T; readonly restarted: boolean }> {
  const { name, workflowId, configure, args, input } = lasting;
  const { info } = Context.current();
  const updateId = `${info.workflowExecution?.runId ?? ''}/${info.activityId}`;
  let restarted = false;
  const configured = async () => {
    const misfit = await incompatibility(client, workflowId);
    if (misfit !== undefined) {
      await startAgain(client, spec, lasting);
      restarted = true;
    }
    const startWorkflowOperation = new WithStartWorkflowOperation(name, {
      args: [{ spec, ...input }],
      workflowIdConflictPolicy: 'USE_EXISTING',
      ...optionsOf(spec, lasting),
    });
    try {
      return await client.workflow.executeUpdateWithStart(configure, {
        args,
        updateId,
        startWorkflowOperation,
      });
    } catch (error) {
      // A refusal has a code of its own.
      throw error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure
        ? error.cause
        : error;
    }
  };
  const answer = await ask(client, workflowId, configured, { firstMs: 20_000 });
  return { answer, restarted };
}

/**
 * Ends a run that makes no step, and begins another one with its last state. The run has stored that with each step, so
 * nothing that it has answered for is lost.
 */
async function startAgain<T, Args extends [ClusterSpec, ...unknown[]]>(
  client: Client,
  spec: ClusterSpec,
  lasting: LastingWorkflow<T, Args>,
): Promise<void> {
  const { workflowId, name, input, resumedWith } = lasting;
  const state = storedState<object>(await client.workflow.getHandle(workflowId).describe());
  const resumed = state === undefined ? input : { state: { ...state, ...resumedWith } };
  await client.workflow.start(name, {
    args: [{ spec, ...resumed }],
    workflowIdConflictPolicy: 'TERMINATE_EXISTING',
    ...optionsOf(spec, lasting),
  });
}

function optionsOf<T, Args extends [ClusterSpec, ...unknown[]]>(
  spec: ClusterSpec,
  { workflowId, summary }: LastingWorkflow<T, Args>,
) {
  return { workflowId, ...startOptions(spec.name, summary), ...lastingOptions };
}

/** Ends a run that makes no step, and that is not needed any more; false when it makes steps, or none runs. */
export async function endIncompatible(
  client: Client,
  workflowId: string,
  before: (described: WorkflowExecutionDescription) => Promise<void> = () => Promise.resolve(),
): Promise<boolean> {
  const misfit = await ask(client, workflowId, () => incompatibility(client, workflowId));
  if (misfit === undefined) return false;
  const handle = client.workflow.getHandle(workflowId, misfit.runId);
  await before(await ask(client, workflowId, () => handle.describe()));
  try {
    await ask(client, workflowId, () => handle.terminate(incompatibleText(workflowId)));
  } catch (error) {
    // It has ended.
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
  return true;
}
