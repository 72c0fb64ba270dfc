/** Workflows as another release of Perijove could have made them: no code of this one fits their histories. */
import { condition, sleep, upsertMemo } from '@temporalio/workflow';
import { memoKeys } from '../../src/temporal/contract.js';

async function other(state?: object): Promise<void> {
  if (state) upsertMemo({ [memoKeys.state]: state });
  for (let count = 0; count < 9; count += 1) await sleep(1);
  await condition(() => false);
}

export async function deploy(): Promise<void> {
  await other();
}
export async function framework({ state }: { readonly state: object }): Promise<void> {
  await other(state);
}
export async function keeper({ state }: { readonly state: object }): Promise<void> {
  await other(state);
}
export async function teardown(): Promise<void> {
  await other();
}
