/** Decides when a learner gets its vote. */
import { majority } from '../cluster/spec.js';
import { quorumOf, type PeerView } from './decide.js';
import { voterIds } from './members.js';

export type Promotion =
  /** Call one of `through` (node names). etcd itself refuses while the learner lags behind. */
  | { readonly kind: 'promote'; readonly through: readonly string[] }
  | { readonly kind: 'wait'; readonly reason: string };

/**
 * Decides for the learner `memberId`, which responds. One more vote may require one more healthy member: the
 * learner is not promoted if the healthy members, including itself, would then be no majority.
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
