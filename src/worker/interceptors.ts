import { setMaxListeners } from 'node:events';
import type { Context } from '@temporalio/activity';
import { ApplicationFailure, ApplicationFailureCategory, CancelledFailure } from '@temporalio/common';
import type { ActivityInterceptors } from '@temporalio/worker';
import { failureOf } from '../temporal/failure.js';
import { heartbeatEveryMs, isEndless } from '../temporal/options.js';

/**
 * What every activity gets: heartbeats, through which it also learns of a cancellation; failures with a code
 * for its errors; and a quick end when the worker shuts down, so that another one takes over at once. Each
 * heartbeat repeats the activity's last details, those of an earlier attempt if this one has none yet: what
 * it waits for, for operators, and its observations, for the next attempt. An activity that resumes observes
 * the world instead of relying on its last heartbeat.
 */
export function activityInterceptors(context: Context): ActivityInterceptors {
  // One observation of a host runs many commands at once, each with a listener.
  setMaxListeners(0, context.cancellationSignal);
  const heartbeat = context.heartbeat.bind(context);
  let details: unknown = context.info.heartbeatDetails;
  Object.defineProperty(context, 'heartbeat', {
    value: (said?: unknown) => {
      details = said;
      heartbeat(said);
    },
  });
  return {
    inbound: {
      async execute(input, next) {
        const heartbeats = setInterval(
          () => heartbeat(details),
          heartbeatEveryMs(context.info.startToCloseTimeoutMs),
        );
        try {
          return await Promise.race([next(input), shutdownOf(context)]);
        } catch (error) {
          throw outcome(error, context);
        } finally {
          clearInterval(heartbeats);
        }
      },
    },
  };
}

/** The worker's process exits next, so an activity that ignores its signal ends with it. */
function shutdownOf(context: Context): Promise<never> {
  return context.cancelled.catch((reason: unknown) => {
    if (context.cancellationDetails?.workerShutdown === true) throw reason;
    return new Promise<never>(() => undefined);
  });
}

function outcome(error: unknown, { info, cancellationSignal, cancellationDetails }: Context): unknown {
  if (cancellationSignal.aborted) {
    if (cancellationDetails?.workerShutdown !== true) {
      return error instanceof CancelledFailure
        ? error
        : new CancelledFailure('cancelled', undefined, asError(error));
    }
    return ApplicationFailure.create({
      message: 'the worker is shutting down; another worker continues',
      type: 'WORKER_SHUTDOWN',
      category: ApplicationFailureCategory.BENIGN,
      nextRetryDelay: '1ms',
    });
  }
  return failureOf(error, {
    number: info.attempt,
    elapsedMs: Date.now() - info.scheduledTimestampMs,
    endless: isEndless(info.startToCloseTimeoutMs),
  });
}

function asError(thrown: unknown): Error | undefined {
  return thrown instanceof Error ? thrown : undefined;
}
