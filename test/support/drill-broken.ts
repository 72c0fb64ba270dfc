/** The drill with an extra step: replaying a correct history must fail. */
import { sleep } from '@temporalio/workflow';
import { drill as right } from '../../src/workflows/drill.js';
import type { DrillInput, Evidence } from '../../src/temporal/contract.js';

export async function drill(input: DrillInput): Promise<Evidence> {
  await sleep(1);
  return right(input);
}
