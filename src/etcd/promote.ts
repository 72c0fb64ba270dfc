/** When a learner is given its vote. */
import { majority } from '../cluster/spec.js';
import { quorumOf, type PeerView } from './decide.js';
import { voterIds } from './members.js';

export type Promotion =
  /** Ask one of `through` (names of nodes). etcd itself refuses for as long as the learner is behind. */
  | { readonly kind: 'promote'; readonly through: readonly string[] }
  | { readonly kind: 'wait'; readonly reason: string };

/**
 * Decides for the learner `memberId`, which answers. A vote more may need a healthy member more: it is not given
 * where those that are healthy, this one among them, would be no majority then.
 */
export function decidePromotion(memberId: string, peers: readonly PeerView[]): Promotion {
  const quorum = quorumOf({ peers });
  if (quorum === undefined) return { kind: 'wait', reason: 'no quorum responds' };
  const { membership, healthy } = quorum;
  if (!membership.members.some((member) => member.id === memberId && member.learner)) {
    return { kind: 'wait', reason: `the cluster has no learner ${memberId}` };
  }
  const voters = voterIds(membership).length + 1;
  return healthy.length + 1 >= majority(voters)
    ? { kind: 'promote', through: healthy }
    : { kind: 'wait', reason: `only ${healthy.length + 1} of ${voters} members would be healthy` };
}
