import { setTimeout as delay } from 'node:timers/promises';
import { isGrpcServiceError, type WorkflowClientInterceptor } from '@temporalio/client';
import { pauseAfter, type BackOff } from '../net/back-off.js';

/** gRPC's FAILED_PRECONDITION. */
const failedPrecondition = 9;
const backOff: BackOff = { firstMs: 50, longestMs: 1_000 };
/** A workflow task that fails for longer does so for another reason. */
const patienceMs = 15_000;

/**
 * Sends an update again when the workflow task that had carried it out was refused. A task that also ends the
 * workflow, or has it go on as a new run, is refused when anything happens to the workflow meanwhile, such as the end
 * of an activity (`UnhandledCommand`): then nothing of it counts, and Temporal tries the task again without the
 * update.
 */
export const updatesAgain: WorkflowClientInterceptor = {
  async startUpdate(input, next) {
    const startedAt = Date.now();
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await next(input);
      } catch (error) {
        if (!isOfRefusedTask(error) || Date.now() - startedAt > patienceMs) throw error;
      }
      await delay(pauseAfter(attempt, backOff));
    }
  },
};

/** Whether an update has come to nothing because the workflow task with it did. */
export function isOfRefusedTask(error: unknown): boolean {
  const cause = error instanceof Error && !isGrpcServiceError(error) ? error.cause : error;
  return (
    isGrpcServiceError(cause) &&
    Number(cause.code) === failedPrecondition &&
    /workflow task failure/.test(cause.details)
  );
}
