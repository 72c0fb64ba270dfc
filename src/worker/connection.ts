import { NativeConnection, TransportError } from '@temporalio/worker';
import type { Logger } from 'pino';
import { PerijoveError } from '../errors/error.js';
import { abortable } from '../net/abortable.js';
import { pauseAfter, type BackOff } from '../net/back-off.js';
import { pause } from '../net/pause.js';
import { refused, resolveTarget, unreachable, type TemporalSettings } from '../temporal/connect.js';

const backOff: BackOff = { firstMs: 200, longestMs: 2_000 };

export interface WorkerConnection {
  readonly connection: NativeConnection;
  readonly address: string;
  readonly namespace: string;
}

/**
 * A worker's connection, with the same settings as a client's.
 *
 * @throws PerijoveError TEMPORAL_UNREACHABLE, TEMPORAL_REFUSED, TEMPORAL_PROFILE_INVALID; the signal's reason
 */
export async function connectNative(settings: TemporalSettings = {}): Promise<WorkerConnection> {
  const { address, namespace, connection: options } = resolveTarget(settings);
  try {
    const connecting = NativeConnection.connect(options);
    const connection = await abortable(connecting, settings.signal).catch((error: unknown) => {
      // One that comes up nevertheless is of no use to anybody.
      void connecting.then((late) => late.close()).catch(() => undefined);
      throw error;
    });
    return { connection, address, namespace };
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    throw /unauthenticated|permission ?denied/i.test(error.message)
      ? refused(address, error.message, error)
      : unreachable(address, error);
  }
}

/**
 * Like `connectNative`, but waits for a server that is not available yet, and logs that once.
 *
 * @throws PerijoveError TEMPORAL_REFUSED, TEMPORAL_PROFILE_INVALID; the signal's reason when it aborts
 */
export async function connectPatiently(
  settings: TemporalSettings,
  logger: Logger,
  signal: AbortSignal,
): Promise<WorkerConnection> {
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      return await connectNative({ ...settings, signal });
    } catch (error) {
      if (!(error instanceof PerijoveError && error.code === 'TEMPORAL_UNREACHABLE')) throw error;
      if (attempt === 1)
        logger.warn({ code: error.code, address: error.place.subject }, 'waiting for the Temporal server');
    }
    await pause(pauseAfter(attempt, backOff), signal);
  }
}
