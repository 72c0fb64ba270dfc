/** Named tiers of activity options. Pure data: workflows proxy their activities with one of these. */
import type { ActivityOptions, RetryPolicy } from '@temporalio/common';
import { msToNumber } from '@temporalio/common/lib/time.js';

/** After this silence another worker takes over. */
const heartbeatTimeoutMs = 5_000;
const dayMs = 24 * 3_600_000;

/**
 * The number of attempts is not limited here but in `temporal/failure.ts`: a policy of the server cannot know
 * that a host which reboots is worth more attempts than a command that fails.
 */
const retry: RetryPolicy = { initialInterval: 500, backoffCoefficient: 2, maximumInterval: 5_000 };

/** One observation or one small change: keeper, framework, updates of routes. */
export const quick: ActivityOptions = {
  startToCloseTimeout: 60_000,
  heartbeatTimeout: heartbeatTimeoutMs,
  retry,
};

/**
 * Installs and waits: stages of deploy, teardown. The day bounds what attempts cannot: that no worker runs.
 */
export const patient: ActivityOptions = {
  startToCloseTimeout: 30 * 60_000,
  scheduleToCloseTimeout: dayMs,
  heartbeatTimeout: heartbeatTimeoutMs,
  retry,
  // A cancelled deployment has ended only when no host carries out any part of it.
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
};

/** Observes a host that leaves the cluster: it may be gone, so it is not waited for as long as others are. */
export const briefly: ActivityOptions = {
  ...patient,
  startToCloseTimeout: 2 * 60_000,
  retry: { initialInterval: 1_000, backoffCoefficient: 2, maximumInterval: 8_000, maximumAttempts: 5 },
};

/** Ends the services of a host that leaves the cluster: for some eight minutes with growing pauses. */
export const lastly: ActivityOptions = {
  ...patient,
  retry: { initialInterval: 1_000, backoffCoefficient: 2, maximumInterval: 120_000, maximumAttempts: 10 },
};

/** Waits for something that heals or starts automatically; they end when it does, or time out. */
export const waiting: ActivityOptions = {
  startToCloseTimeout: 10 * 60_000,
  scheduleToCloseTimeout: dayMs,
  heartbeatTimeout: heartbeatTimeoutMs,
  // Each worker that dies meanwhile costs one.
  retry: { ...retry, maximumAttempts: 60 },
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
};

/** Sends one notice: for about an hour with growing pauses. */
export const sending: ActivityOptions = {
  startToCloseTimeout: 30_000,
  scheduleToCloseTimeout: dayMs,
  retry: { initialInterval: 5_000, backoffCoefficient: 2, maximumInterval: 600_000, maximumAttempts: 12 },
};

/** How many times longer the limits of an activity may become (`workflows/growing.ts`). */
export const growthLimit = 4;

/** What the server calls time-outs among errors that are not retried. */
const tooSlow = ['TemporalTimeout:StartToClose', 'TemporalTimeout:Heartbeat'];

interface Limits {
  readonly startToCloseTimeout?: number | `${number}s`;
  readonly heartbeatTimeout?: number | `${number}s`;
}

/**
 * Options with limits that are `scale` times as long. Below `growthLimit` a time-out ends the activity, so that the
 * workflow schedules it with other limits; at it, the server repeats the attempt.
 */
export function withGrownLimits(options: ActivityOptions, scale: number): ActivityOptions {
  const { startToCloseTimeout, heartbeatTimeout } = options as Limits;
  const { retry } = options;
  return {
    ...options,
    ...(startToCloseTimeout !== undefined && {
      startToCloseTimeout: msToNumber(startToCloseTimeout) * scale,
    }),
    ...(heartbeatTimeout !== undefined && { heartbeatTimeout: msToNumber(heartbeatTimeout) * scale }),
    ...(scale < growthLimit && {
      retry: { ...retry, nonRetryableErrorTypes: [...(retry?.nonRetryableErrorTypes ?? []), ...tooSlow] },
    }),
  };
}

/** Activities that never end on their own: the scheduler of the framework, the watch of the keeper. */
export const endless: ActivityOptions = {
  startToCloseTimeout: 3_650 * dayMs,
  // The silence and the pause are the time of a takeover from a dead worker; from a suspended one too, if the
  // server has `takeoverSettings`. A worker that was silent only because it was busy loses nothing: another
  // one continues, and this one stops.
  heartbeatTimeout: 2_000,
  retry: { initialInterval: 200, backoffCoefficient: 2, maximumInterval: 1_000 },
};

/**
 * For the start of a workflow that runs as long as its cluster. If a suspended worker has one of its tasks, another
 * worker gets it after this time. To replay their longest history, of 500 events, takes some 0.6 s of a core: 6 s with
 * a tenth of one.
 */
export const lasting = { workflowTaskTimeout: '10s' } as const;

/** For the start of any other workflow. Deployments of many hosts have thousands of events, and replay for seconds. */
export const passing = { workflowTaskTimeout: '30s' } as const;

/** How often the worker's interceptor heartbeats, for an activity with this limit of one attempt. */
export function heartbeatEveryMs(startToCloseTimeoutMs: number): number {
  return isEndless(startToCloseTimeoutMs) ? 500 : 1_000;
}

/** Whether an activity with this limit of one attempt is of the endless tier. */
export function isEndless(startToCloseTimeoutMs: number): boolean {
  return startToCloseTimeoutMs > 365 * dayMs;
}
