import { messageOf } from '../errors/error.js';
import type { EtcdClient } from './client.js';
import type { Probe } from './verdict.js';

/**
 * Asks one member for its status, and, where it says that it leads itself, for a linearizable read. Resolves
 * in any case, within twice the deadline.
 */
export async function probeMember(
  node: string,
  client: EtcdClient,
  options: { readonly deadlineMs?: number } = {},
): Promise<Probe> {
  try {
    const { memberId, leader, term } = await client.status(options);
    const linearizable =
      leader === memberId &&
      (await client.linearizableRead(options).then(
        () => true,
        () => false,
      ));
    return { node, ok: true, memberId, ...(leader === undefined ? {} : { leader }), term, linearizable };
  } catch (error) {
    return { node, ok: false, reason: messageOf(error) };
  }
}
