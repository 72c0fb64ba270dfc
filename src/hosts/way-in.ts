import { setTimeout as delay } from 'node:timers/promises';
import { PerijoveError } from '../errors/error.js';
import type { HostConnection } from '../ssh/connection.js';

/** A slow machine may accept no logins for about two minutes in total, including the attempts. */
const pausesMs = [500, 2_000, 8_000, 20_000] as const;

/** A change to a host, and how to undo it. */
export interface Undo {
  /** The change, as text: `started docker`. */
  readonly what: string;
  /** Absent if it stays. */
  readonly undo?: () => Promise<unknown>;
}

export interface WayInOptions {
  /** In the order in which they were made. */
  readonly done: readonly Undo[];
  readonly signal?: AbortSignal;
  readonly pausesMs?: readonly number[];
}

/**
 * Verifies that a changed host accepts a new SSH connection: the open one would survive a change that blocks
 * all others. If new ones fail and the open one still works, what can be undone is undone over it, the last
 * change first. If the open one fails too, the cause is unknown and nothing is undone.
 *
 * @throws PerijoveError WAY_IN_LOST, SSH_*
 */
export async function keepWayIn(connection: HostConnection, options: WayInOptions): Promise<void> {
  const { done, signal, pausesMs: pauses = pausesMs } = options;
  const refused = await refusal(connection, pauses, signal);
  if (refused === undefined) return;
  await connection.run('exit 0', { become: false, ...(signal === undefined ? {} : { signal }) });
  const { host } = connection;
  const undone: string[] = [];
  const left: string[] = [];
  for (const { what, undo } of done.toReversed()) {
    const isUndone = await undo?.().then(
      () => true,
      () => false,
    );
    (isUndone === true ? undone : left).push(what);
  }
  const after = await refusal(connection, [], signal);
  throw new PerijoveError(
    'WAY_IN_LOST',
    [
      `${host.name} accepted no new SSH connection after a change: ${refused.message}`,
      `reverted: ${undone.join(', ') || 'nothing'}`,
      ...(left.length === 0 ? [] : [`not reverted: ${left.join(', ')}`]),
      after === undefined ? 'it accepts connections again' : 'it still accepts none',
    ].join('; '),
    { host: host.name, cause: refused },
  );
}

/** The error of the last login attempt; undefined as soon as one succeeds. */
async function refusal(
  connection: HostConnection,
  pauses: readonly number[],
  signal: AbortSignal | undefined,
): Promise<PerijoveError | undefined> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await connection.login();
      return undefined;
    } catch (error) {
      if (!(error instanceof PerijoveError)) throw error;
      const pauseMs = pauses[attempt];
      if (pauseMs === undefined) return error;
      await delay(pauseMs, undefined, signal === undefined ? {} : { signal });
    }
  }
}
