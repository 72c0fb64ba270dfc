import { setTimeout as delay } from 'node:timers/promises';
import { PerijoveError } from '../errors/error.js';
import type { HostConnection } from '../ssh/connection.js';

/** A slow machine may not let anybody in for a while: in all some two minutes, with the attempts' own time. */
const pausesMs = [500, 2_000, 8_000, 20_000] as const;

/** Something that was done to a host, and how it is taken back. */
export interface Undo {
  /** What was done, for people: `started docker`. */
  readonly what: string;
  /** Absent when it stays. */
  readonly undo?: () => Promise<unknown>;
}

export interface WayInOptions {
  /** In the order in which it was done. */
  readonly done: readonly Undo[];
  readonly signal?: AbortSignal;
  readonly pausesMs?: readonly number[];
}

/**
 * Makes sure that a host that was changed lets a new SSH connection in: the one that is open would go on after a
 * change that keeps all others out. Where new ones fail and the open one still serves, what can be taken back is
 * taken back over it, the last first. Where the open one does not serve either, it is not known what keeps people
 * out, and nothing is taken back.
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

/** Why no attempt to log in succeeded; undefined as soon as one does. */
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
