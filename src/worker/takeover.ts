/**
 * Worker options that let another worker take over soon after this one died or was suspended. Temporal sends
 * tasks to the polls that a suspended worker still has open, and each task is lost until it times out: so
 * there are as few polls as the SDK permits. A poll is repeated as soon as it is answered.
 *
 * `ResetStickyTaskQueue` to detach the workflow from the lost worker, with queries to use up its polls, does
 * not work: in one of two series of twenty takeovers a worker was then sent a task of a run of which it
 * already had one, and did nothing any more.
 */
export const takeoverOptions = {
  // How long a workflow waits for the worker that has it in its cache.
  stickyQueueScheduleToStartTimeout: '2s',
  // Heartbeats deliver cancellations, so none is held back.
  maxHeartbeatThrottleInterval: '100ms',
  // One for the workflows in the cache, one for the others. (The SDK ignores `maxConcurrent…Polls`.)
  workflowTaskPollerBehavior: { type: 'simple-maximum', maximum: 2 },
  activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 1 },
} as const;
