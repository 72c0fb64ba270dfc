import { proxyActivities, setCurrentDetails } from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import { object, oneOf, text } from '../cluster/flaws.js';
import type { Notice, NotifyInput } from '../temporal/contract.js';
import { sending } from '../temporal/options.js';
import { finalFailure } from './failure.js';
import { ensureClusterAttribute, requireInput } from './input.js';

const { sendNotice } = proxyActivities<Activities>(sending);

/** Sends one notice to one receiver. Its ID is that of both, so that none is sent again by another worker. */
export async function notify(input: NotifyInput): Promise<void> {
  requireInput<NotifyInput>('notify', input, {
    notice: object<Notice>({
      cluster: text,
      kind: oneOf('incident', 'deployment-failed'),
      at: text,
      what: text,
    }),
    receiver: text,
  });
  const { notice, receiver } = input;
  ensureClusterAttribute(notice.cluster);
  setCurrentDetails(`Notifies \`${receiver}\` of: ${notice.what}`);
  try {
    await sendNotice.executeWithOptions({ ...sending, summary: `to ${receiver}` }, [input]);
  } catch (error) {
    throw finalFailure(error).failure;
  }
}
