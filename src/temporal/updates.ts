import { setTimeout as delay } from 'node:timers/promises';
import { isGrpcServiceError, type WorkflowClientInterceptor } from '@temporalio/client';
import { pauseAfter, type BackOff } from '../net/back-off.js';

/** gRPC's FAILED_PRECONDITION. */
const failedPrecondition = 9;
const backOff: BackOff = { firstMs: 50, longestMs: 1_000 };
/** A workflow task that fails for longer does so for another reason. */
const patienceMs = 15_000;

/**
 * Resends an update when the workflow task that carried it out was refused. A task that also ends the
 * workflow, or continues it as a new run, is refused when anything happens to the workflow meanwhile, such as
 * the end of an activity (`UnhandledCommand`): then its effects are dropped, and Temporal repeats the task
 * without the update.
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

/** Whether an update was dropped because its workflow task was refused. */
export function isOfRefusedTask(error: unknown): boolean {
  const cause = error instanceof Error && !isGrpcServiceError(error) ? error.cause : error;
  return (
    isGrpcServiceError(cause) &&
    Number(cause.code) === failedPrecondition &&
    /workflow task failure/.test(cause.details)
  );
}
