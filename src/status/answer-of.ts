import type { HostSpec } from '../cluster/spec.js';
import { listensAt } from '../hosts/listening.js';
import type { SshPool } from '../ssh/connection.js';

/** Time limit for one answer. */
export const askMs = 2_000;

/** `down`: its host confirms that nothing listens there; `no-answer`: no answer for any other reason. */
export type Silence = 'down' | 'no-answer';
export type Answer<T> = { readonly value: T } | { readonly silence: Silence };

/**
 * A service's answer within the time limit, or why there is none.
 *
 * @param hosts the reachable ones
 */
export async function answerOf<T>(
  { pool, hosts }: { readonly pool: SshPool; readonly hosts: readonly HostSpec[] },
  { host, address, port }: { readonly host: HostSpec; readonly address: string; readonly port: number },
  ask: () => Promise<T>,
): Promise<Answer<T>> {
  if (!hosts.includes(host)) return { silence: 'no-answer' };
  try {
    return { value: await ask() };
  } catch {
    const listens = await listensAt(() => pool.get(host), address, port, askMs);
    return { silence: listens.known && !listens.value ? 'down' : 'no-answer' };
  }
}
