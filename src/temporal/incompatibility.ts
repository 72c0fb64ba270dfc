/** Workflows whose history the code of their workers cannot replay: they make no step until that changes. */
import { WorkflowNotFoundError, type Client, type WorkflowExecutionDescription } from '@temporalio/client';
import proto, { type temporal } from '@temporalio/proto';

export interface Incompatibility {
  readonly workflowId: string;
  readonly runId: string;
  /** What its worker said. */
  readonly message: string;
}

type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

const { EVENT_TYPE_WORKFLOW_TASK_COMPLETED: completed, EVENT_TYPE_WORKFLOW_TASK_FAILED: failed } =
  proto.temporal.api.enums.v1.EventType;
const { WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR: nonDeterministic } =
  proto.temporal.api.enums.v1.WorkflowTaskFailedCause;
/** Since the failure, which is recorded once, signals and the ends of activities may have been recorded. */
const searched = 200;

/**
 * Why the current step of a running workflow fails, if its code does not fit its history; undefined if it does not
 * fail, or fails for another reason, or does not run.
 */
export async function incompatibility(
  client: Client,
  workflowId: string,
): Promise<Incompatibility | undefined> {
  try {
    return await incompatibilityOf(client, await client.workflow.getHandle(workflowId).describe());
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

export async function incompatibilityOf(
  client: Client,
  { workflowId, runId, status, raw }: WorkflowExecutionDescription,
): Promise<Incompatibility | undefined> {
  if (status.name !== 'RUNNING' || (raw.pendingWorkflowTask?.attempt ?? 0) < 2) return undefined;
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: searched,
  });
  const message = misfit(history?.events ?? []);
  return message === undefined ? undefined : { workflowId, runId, message };
}

/** @param events of a workflow whose step fails, the newest first */
export function misfit(events: readonly HistoryEvent[]): string | undefined {
  const last = events.find(({ eventType }) => eventType === completed || eventType === failed);
  const attributes = last?.workflowTaskFailedEventAttributes;
  if (attributes?.cause !== nonDeterministic) return undefined;
  return attributes.failure?.message ?? 'the history does not fit the code';
}

/** For people, without a full stop. */
export function incompatibleText(workflowId: string): string {
  return `${workflowId} makes no step: its history does not fit the release of its workers (WORKFLOW_INCOMPATIBLE)`;
}
