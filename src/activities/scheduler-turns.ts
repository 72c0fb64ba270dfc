import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';
import type { ErrorCode } from '../errors/codes.js';
import { PerijoveError } from '../errors/error.js';
import { silentAfter } from '../mesos/scheduler/pulse.js';
import type { HandOver } from '../mesos/scheduler/deps.js';

/** Until another worker can take over. */
const handOverMs = 200;
/** A worker that has handed over does not take over again for this long. */
const restMs = 2_000;
const mostDoublings = 4;

/** One worker's turns as the scheduler of each cluster: it hands over when cut off, but not too often. */
export function schedulerTurns() {
  const left = new Map<string, { readonly at: number; readonly times: number }>();
  const cutOff = (message: string) =>
    ApplicationFailure.create({
      message,
      type: 'SCHEDULER_CUT_OFF' satisfies ErrorCode,
      category: ApplicationFailureCategory.BENIGN,
      nextRetryDelay: handOverMs,
    });
  return {
    /** @throws ApplicationFailure SCHEDULER_CUT_OFF for another worker to try: this one just handed over */
    begin: (cluster: string): HandOver => {
      const before = left.get(cluster);
      if (before !== undefined && Date.now() - before.at < restMs) {
        throw cutOff('this worker lost its connection to Mesos a moment ago; another worker may try');
      }
      // When no worker reaches Mesos, each one tries for longer and longer.
      const patience = silentAfter * 2 ** Math.min(before?.times ?? 0, mostDoublings);
      return { afterUnanswered: patience, subscribed: () => void left.delete(cluster) };
    },
    /** Never resolves: the scheduler ends by throwing. */
    end: async (cluster: string, scheduler: Promise<never>): Promise<never> => {
      try {
        return await scheduler;
      } catch (error) {
        if (!(error instanceof PerijoveError && error.code === 'SCHEDULER_CUT_OFF')) throw error;
        left.set(cluster, { at: Date.now(), times: (left.get(cluster)?.times ?? 0) + 1 });
        throw cutOff(error.message);
      }
    },
  };
}
