/** The recovery with an extra step: replaying a correct history must fail. */
import { sleep } from '@temporalio/workflow';
import type { RecoveryInput, RecoveryResult } from '../../src/temporal/contract.js';
import { recovery as right } from '../../src/workflows/recovery.js';

export async function recovery(input: RecoveryInput): Promise<RecoveryResult> {
  await sleep(1);
  return right(input);
}
