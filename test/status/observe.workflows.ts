/** A keeper whose query result and memo differ. */
import { condition, setHandler, upsertMemo } from '@temporalio/workflow';
import { keeperState, memoKeys, type KeeperState } from '../../src/temporal/contract.js';

const stateOf = (generation: number): KeeperState => ({
  generation,
  routes: {},
  drifts: [],
  repairs: 0,
  incidents: [{ at: '2026-01-01T00:00:00.000Z', what: 'node1 leads', tookMs: 900 }],
  events: [],
});

export async function keeper(): Promise<void> {
  setHandler(keeperState, () => stateOf(8));
  upsertMemo({ [memoKeys.state]: stateOf(7) });
  await condition(() => false);
}
