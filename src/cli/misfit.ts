/** Deployments and teardowns that no worker can continue: they are ended, since another one does the rest. */
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { untilAnswered } from '../temporal/answers.js';
import { incompatibility, incompatibleText } from '../temporal/incompatibility.js';

const askMs = 5_000;
const patienceMs = 20_000;

/**
 * Ends the workflow if its history does not fit the release of its workers. What it was doing is begun again by the
 * next one, which observes each thing before it changes it. A look that fails changes nothing.
 *
 * @returns whether it was ended
 */
export async function endMisfit(
  client: Client,
  workflowId: string,
  { signal, onWait }: { readonly signal: AbortSignal; readonly onWait: (text: string) => void },
): Promise<boolean> {
  const ask = <T>(question: () => Promise<T>) =>
    untilAnswered(client, question, { receiver: workflowId, signal, firstMs: askMs, patienceMs });
  try {
    const misfit = await ask(() => incompatibility(client, workflowId));
    if (misfit === undefined) return false;
    const handle = client.workflow.getHandle(workflowId, misfit.runId);
    await ask(() => handle.terminate(incompatibleText(workflowId)));
    onWait(`${incompatibleText(workflowId)}: it is ended, and begun again`);
    return true;
  } catch (error) {
    // It ended in between; or whoever asks for it next will say what is wrong.
    if (error instanceof WorkflowNotFoundError || signal.aborted) return false;
    if (error instanceof Error && 'code' in error && error.code === 'WORKFLOW_NOT_ANSWERING') return false;
    throw error;
  }
}
