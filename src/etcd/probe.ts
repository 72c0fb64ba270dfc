import { messageOf } from '../errors/error.js';
import type { EtcdClient } from './client.js';
import type { PeerView } from './decide.js';
import { voterIds } from './members.js';
import type { Probe } from './verdict.js';

/**
 * Asks one member for its status, and, where it says that it leads itself, for a linearizable read and then for
 * the members that have a vote. Resolves in any case, within three times the deadline.
 */
export async function probeMember(
  node: string,
  client: EtcdClient,
  options: { readonly deadlineMs?: number } = {},
): Promise<Probe> {
  try {
    const { memberId, leader, term } = await client.status(options);
    const voters =
      leader === memberId
        ? await client
            .linearizableRead(options)
            .then(() => client.memberList(options))
            .then(voterIds, () => undefined)
        : undefined;
    return {
      node,
      ok: true,
      memberId,
      ...(leader === undefined ? {} : { leader }),
      term,
      linearizable: voters !== undefined,
      ...(voters === undefined ? {} : { voters }),
    };
  } catch (error) {
    return { node, ok: false, reason: messageOf(error) };
  }
}

/** What one member says of itself and of all members. Resolves in any case, within three times the deadline. */
export async function viewMember(node: string, client: EtcdClient): Promise<PeerView> {
  try {
    const { memberId, term, leader, learner } = await client.status();
    if (learner) return { node, ok: false, learner: memberId, reason: 'it is a learner' };
    const linearizable = await client.linearizableRead().then(
      () => true,
      () => false,
    );
    const membership = await client.memberList();
    return {
      node,
      ok: true,
      memberId,
      term,
      ...(leader === undefined ? {} : { leader }),
      linearizable,
      membership,
    };
  } catch (error) {
    return { node, ok: false, reason: messageOf(error) };
  }
}
