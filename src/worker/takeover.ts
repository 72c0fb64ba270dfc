/**
 * Options of a worker by which another one goes on soon after it died or was suspended. Temporal hands tasks to the
 * polls that a suspended worker still has open, and each is lost until it times out: so there are as few as the SDK
 * allows. One poll is asked again as soon as it is answered.
 *
 * To take the workflow off the lost worker by `ResetStickyTaskQueue`, and to use its polls up with queries, is no way: in
 * one of two series of twenty takeovers a worker was then handed a task of a run of which it already had one, and did
 * nothing any more.
 */
export const takeoverOptions = {
  // Only so long does a workflow wait for the worker that has it in its cache.
  stickyQueueScheduleToStartTimeout: '2s',
  // A cancellation is heard of with a heartbeat, so none is held back.
  maxHeartbeatThrottleInterval: '100ms',
  // One for the workflows in the cache, one for the others. (The SDK does nothing with `maxConcurrent…Polls`.)
  workflowTaskPollerBehavior: { type: 'simple-maximum', maximum: 2 },
  activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 1 },
} as const;
