import { WorkflowNotFoundError, type Client } from '@temporalio/client';

/** Whether a workflow of that ID runs now; false also when there never was one. */
export async function isRunning(client: Client, workflowId: string): Promise<boolean> {
  try {
    const { status } = await client.workflow.getHandle(workflowId).describe();
    return status.name === 'RUNNING';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
