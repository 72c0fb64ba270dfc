import { setTimeout as delay } from 'node:timers/promises';
import { PerijoveError } from '../errors/error.js';
import { aborted } from './aborted.js';
import type { CommandDefinition } from './command.js';

/** What a command may take to say what becomes of its work, and to close its connections. */
const graceMs = 1_000;

/**
 * The outcome of a command; after Ctrl-C, one that has nothing to put in order is waited for no longer than a second:
 * it may hang in a connection.
 *
 * @throws PerijoveError INTERRUPTED
 */
export async function interruptible<T>(
  running: Promise<T>,
  { onInterrupt }: Pick<CommandDefinition, 'onInterrupt'>,
  signal: AbortSignal,
): Promise<T> {
  if (onInterrupt !== undefined) return running;
  running.catch(() => undefined);
  const late = aborted(signal)
    .then(() => delay(graceMs))
    .then(() => {
      throw new PerijoveError('INTERRUPTED', 'interrupted');
    });
  late.catch(() => undefined);
  return Promise.race([running, late]);
}

/** What is to be said of a command that threw after Ctrl-C: whatever failed is a consequence of that. */
export function interruptionOf(thrown: unknown): PerijoveError {
  const isOwn = thrown instanceof PerijoveError && thrown.code === 'CANCELLED';
  return new PerijoveError('INTERRUPTED', isOwn ? thrown.message : 'interrupted', {
    ...(isOwn && { remedy: thrown.remedy }),
    cause: thrown,
  });
}
