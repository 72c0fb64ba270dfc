/** Named tiers of activity options. Pure data: workflows proxy their activities with one of these. */
import type { ActivityOptions, RetryPolicy } from '@temporalio/common';

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
 * For the start of a workflow that runs as long as its cluster. If a suspended worker has one of its tasks,
 * another worker gets it after this time, which is plenty to replay their longest history.
 */
export const lasting = { workflowTaskTimeout: '5s' } as const;

/** How often the worker's interceptor heartbeats, for an activity with this limit of one attempt. */
export function heartbeatEveryMs(startToCloseTimeoutMs: number): number {
  return isEndless(startToCloseTimeoutMs) ? 500 : 1_000;
}

/** Whether an activity with this limit of one attempt is of the endless tier. */
export function isEndless(startToCloseTimeoutMs: number): boolean {
  return startToCloseTimeoutMs > 365 * dayMs;
}
