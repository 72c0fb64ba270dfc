import { setTimeout as delay } from 'node:timers/promises';
import { NativeConnection, TransportError } from '@temporalio/worker';
import type { Logger } from 'pino';
import { PerijoveError } from '../errors/error.js';
import { refused, resolveTarget, unreachable, type TemporalSettings } from '../temporal/connect.js';

export interface WorkerConnection {
  readonly connection: NativeConnection;
  readonly address: string;
  readonly namespace: string;
}

/**
 * A worker's connection, by the same settings as a client's.
 *
 * @throws PerijoveError TEMPORAL_UNREACHABLE, TEMPORAL_REFUSED, TEMPORAL_PROFILE_INVALID
 */
export async function connectNative(settings: TemporalSettings = {}): Promise<WorkerConnection> {
  const { address, namespace, connection: options } = resolveTarget(settings);
  try {
    return { connection: await NativeConnection.connect(options), address, namespace };
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    throw /unauthenticated|permission ?denied/i.test(error.message)
      ? refused(address, error.message, error)
      : unreachable(address, error);
  }
}

/**
 * Like `connectNative`, but waits for a server that is not there, and says so in the log once.
 *
 * @throws PerijoveError TEMPORAL_REFUSED, TEMPORAL_PROFILE_INVALID; the signal's reason when it aborts
 */
export async function connectPatiently(
  settings: TemporalSettings,
  logger: Logger,
  signal: AbortSignal,
): Promise<WorkerConnection> {
  for (let waitMs = 200, said = false; ; waitMs = Math.min(waitMs * 2, 2_000)) {
    signal.throwIfAborted();
    try {
      return await connectNative(settings);
    } catch (error) {
      if (!(error instanceof PerijoveError && error.code === 'TEMPORAL_UNREACHABLE')) throw error;
      if (!said)
        logger.warn({ code: error.code, address: error.place.subject }, 'waiting for the Temporal server');
      said = true;
    }
    // The look at the signal above tells the reason.
    await delay(waitMs, undefined, { signal }).catch(() => undefined);
  }
}
