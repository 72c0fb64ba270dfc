/** A workflow that runs one activity, with immediate retries. */
import { proxyActivities } from '@temporalio/workflow';
import { quick } from '../../src/temporal/options.js';

export async function callActivity(name: string, input: unknown): Promise<unknown> {
  const activities = proxyActivities<Record<string, (input: unknown) => Promise<unknown>>>({
    ...quick,
    retry: { ...quick.retry, initialInterval: 10 },
  });
  const activity = activities[name];
  if (!activity) throw new Error(name);
  return activity(input);
}
