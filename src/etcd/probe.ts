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
    const confirmed = leader === memberId ? await confirm(client, options).catch(() => undefined) : undefined;
    return {
      node,
      ok: true,
      memberId,
      ...(leader === undefined ? {} : { leader }),
      term,
      linearizable: confirmed !== undefined,
      ...confirmed,
    };
  } catch (error) {
    return { node, ok: false, reason: messageOf(error) };
  }
}

async function confirm(
  client: EtcdClient,
  options: { readonly deadlineMs?: number },
): Promise<{ readonly epoch: number; readonly voters: readonly string[] }> {
  const { epoch } = await client.linearizableRead(options);
  return { epoch, voters: voterIds(await client.memberList(options)) };
}

/** One member's report on itself and all members. Always resolves, within three times the deadline. */
export async function viewMember(node: string, client: EtcdClient): Promise<PeerView> {
  try {
    const { memberId, term, leader, learner } = await client.status();
    if (learner) return { node, ok: false, learner: memberId, reason: 'it is a learner' };
    const read = await client.linearizableRead().catch(() => undefined);
    const membership = await client.memberList();
    return {
      node,
      ok: true,
      memberId,
      term,
      ...(leader === undefined ? {} : { leader }),
      linearizable: read !== undefined,
      ...read,
      membership,
    };
  } catch (error) {
    return { node, ok: false, reason: messageOf(error) };
  }
}
