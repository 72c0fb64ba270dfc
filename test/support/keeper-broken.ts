/** The keeper with an extra step: replaying a correct history must fail. */
import { sleep } from '@temporalio/workflow';
import { keeper as right } from '../../src/workflows/keeper.js';
import type { KeeperInput } from '../../src/temporal/contract.js';

export async function keeper(input: KeeperInput): Promise<void> {
  await sleep(1);
  await right(input);
}
