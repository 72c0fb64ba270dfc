import type { UpdateDefinition } from '@temporalio/common';
import { setHandler } from '@temporalio/workflow';
import { described } from '../temporal/descriptions.js';

/** Handles an update, described in Temporal's Web UI. What the validator rejects is in no history. */
export function handleUpdate<Result, Args extends unknown[]>(
  definition: UpdateDefinition<Result, Args>,
  handler: (...args: NoInfer<Args>) => NoInfer<Result> | Promise<NoInfer<Result>>,
  validator?: (...args: NoInfer<Args>) => void,
): void {
  setHandler(definition, handler, { ...(validator && { validator }), ...described(definition) });
}
