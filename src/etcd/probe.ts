import { messageOf } from '../errors/error.js';
import type { EtcdClient } from './client.js';
import type { PeerView } from './decide.js';
import { voterIds } from './members.js';
import type { Probe } from './verdict.js';

/**
 * Queries one member's status and, if it reports itself as leader, makes a linearizable read and then lists
 * the voting members. Always resolves, within three times the deadline.
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

/** One member's report on itself and all members. Always resolves, within three times the deadline. */
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
