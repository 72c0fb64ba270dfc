/** Activities whose limits grow on a machine that is too slow for them. */
import {
  ActivityFailure,
  log,
  patched,
  proxyActivities,
  TimeoutFailure,
  type ActivityInterfaceFor,
  type ActivityOptions,
} from '@temporalio/workflow';
import { growthLimit, withGrownLimits } from '../temporal/options.js';

type AnyActivity = (...args: unknown[]) => Promise<unknown>;

/**
 * Like `proxyActivities`, except that an attempt which took too long, or whose heartbeats came too late, is followed by
 * one with twice the limits, up to `growthLimit` times those of the options; from then on Temporal repeats attempts
 * with the same limits. Later activities of the same run of the workflow begin with what the last one needed. Activities
 * with a single attempt keep their limits.
 */
export function growingActivities<A>(options: ActivityOptions): ActivityInterfaceFor<A> {
  const activities = proxyActivities<Record<string, AnyActivity>>(options);
  let scale = 1;
  const grow = async (name: string, whole: ActivityOptions, args: unknown[]): Promise<unknown> => {
    for (;;) {
      const current = scale;
      try {
        return await activities[name]?.executeWithOptions(withGrownLimits(whole, current), args);
      } catch (error) {
        if (current >= growthLimit || !isTooSlow(error)) throw error;
        scale = Math.max(scale, current * 2);
        log.warn('an activity took too long; it is repeated with longer limits', { activity: name, scale });
      }
    }
  };
  const call = (name: string, given: ActivityOptions, args: unknown[]): Promise<unknown> | undefined => {
    const whole = { ...options, ...given };
    // The very promise: another one would resolve later, and change the order of commands in earlier histories.
    return whole.retry?.maximumAttempts === 1 || !patched('limits-that-grow')
      ? activities[name]?.executeWithOptions(given, args)
      : grow(name, whole, args);
  };
  const grown = new Proxy(
    {},
    {
      get: (_target, name) => {
        const activity = String(name);
        return Object.assign((...args: unknown[]) => call(activity, {}, args), {
          executeWithOptions: (given: ActivityOptions, args: unknown[]) => call(activity, given, args),
        });
      },
    },
  );
  return grown as ActivityInterfaceFor<A>;
}

function isTooSlow(error: unknown): boolean {
  if (!(error instanceof ActivityFailure) || !(error.cause instanceof TimeoutFailure)) return false;
  return error.cause.timeoutType === 'HEARTBEAT' || error.cause.timeoutType === 'START_TO_CLOSE';
}
