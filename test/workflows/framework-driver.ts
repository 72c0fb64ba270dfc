/** The framework's workflow, and one that calls a single activity, like a stage of the deployment. */
import { proxyActivities } from '@temporalio/workflow';
import { quick } from '../../src/temporal/options.js';

export { framework } from '../../src/workflows/framework.js';

export async function call(name: string, input: unknown): Promise<unknown> {
  const activities = proxyActivities<Record<string, (input: unknown) => Promise<unknown>>>(quick);
  return await activities[name]?.(input);
}
