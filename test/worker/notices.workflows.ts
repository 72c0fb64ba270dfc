/** What `notify` sends, and a keeper and a deployment to notify of. */
import { ApplicationFailure, condition, upsertMemo } from '@temporalio/workflow';
import { memoKeys, type DeployProgress, type Incident } from '../../src/temporal/contract.js';

export { notify } from '../../src/workflows/notify.js';

export async function keeper(incidents: readonly Incident[]): Promise<void> {
  upsertMemo({ [memoKeys.state]: { generation: 1, incidents } });
  await condition(() => false);
}

export async function deploy(): Promise<void> {
  const failure = { code: 'DISK_FULL', message: 'h2: 3 MiB are free', remedy: 'Free some.', host: 'h2' };
  const progress: DeployProgress = { cluster: 'noticed', digest: 'd', stages: [], failure };
  upsertMemo({ [memoKeys.state]: progress });
  throw ApplicationFailure.nonRetryable(failure.message, failure.code);
}
