import { makeContinueAsNewFunc, patched, workflowInfo, type Workflow } from '@temporalio/workflow';

/**
 * Events after which a workflow that lasts continues as a new run. A worker that has lost its cache replays the whole
 * history within one workflow task: with so few events that takes well under its limit, even with a tenth of a core.
 */
const mostEvents = 500;

/** Whether a new run should continue this workflow. Call it only where replay calls it as well. */
export function isHistoryLong(): boolean {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  // Runs recorded by earlier releases went on until the server's suggestion.
  return continueAsNewSuggested || (historyLength >= mostEvents && patched('continue-at-500-events'));
}

/**
 * Continues the workflow as a new run, which begins with whichever build of the workers is current. Only here do
 * workflows that are pinned to a build move to another one. Never resolves.
 */
export function continueOnCurrentBuild<F extends Workflow>(...args: Parameters<F>): Promise<never> {
  return makeContinueAsNewFunc<F>({ initialVersioningBehavior: 'AUTO_UPGRADE' })(...args);
}
