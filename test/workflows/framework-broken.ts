/** The framework with one step too many: it must not replay any history of the correct one. */
import { sleep } from '@temporalio/workflow';
import type { FrameworkInput } from '../../src/temporal/contract.js';
import { framework as right } from '../../src/workflows/framework.js';

export async function framework(input: FrameworkInput): Promise<void> {
  await sleep(1);
  await right(input);
}
