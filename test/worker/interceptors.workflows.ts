/** Workflows that call one activity, for the tests of what every activity gets. */
import { proxyActivities } from '@temporalio/workflow';
import { endless, patient } from '../../src/temporal/options.js';
import { finalFailure } from '../../src/workflows/failure.js';

interface TestActivities {
  subject(): Promise<string>;
}

const fast = { initialInterval: 10, maximumInterval: 10 };

export async function once(tier: 'patient' | 'endless'): Promise<string> {
  const options = tier === 'patient' ? patient : endless;
  const { subject } = proxyActivities<TestActivities>({ ...options, retry: { ...options.retry, ...fast } });
  try {
    return await subject();
  } catch (error) {
    throw finalFailure(error).failure;
  }
}
