/** The framework with one step too many: no history of the right one may be replayed by it. */
import { sleep } from '@temporalio/workflow';
import type { FrameworkInput } from '../../src/temporal/contract.js';
import { framework as right } from '../../src/workflows/framework.js';

export async function framework(input: FrameworkInput): Promise<void> {
  await sleep(1);
  await right(input);
}
