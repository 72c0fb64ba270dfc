/** A keeper whose query result and memo differ, and a deployment that failed. */
import { ApplicationFailure, condition, setHandler, upsertMemo } from '@temporalio/workflow';
import { keeperState, memoKeys, type DeployProgress, type KeeperState } from '../../src/temporal/contract.js';

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

export async function deploy(): Promise<void> {
  const failure = { code: 'DISK_FULL', message: 'h2: 3 MiB are free', remedy: 'Free some.', host: 'h2' };
  const progress: DeployProgress = { cluster: 'observed', digest: 'd', stages: [], failure };
  upsertMemo({ [memoKeys.state]: progress });
  throw ApplicationFailure.nonRetryable(failure.message, failure.code);
}
