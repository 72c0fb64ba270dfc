/** Decides how the member of a retiring node leaves etcd. */
import { majority } from '../cluster/spec.js';
import { quorumOf, type PeerView } from './decide.js';
import { isMemberOf, voterIds, type Member } from './members.js';

export interface RetirementInput {
  /** Name of the retiring node. */
  readonly node: string;
  readonly peerUrl: string;
  /** The remaining nodes, by index. */
  readonly staying: readonly string[];
  /** One view of each reachable member, including the node's own. */
  readonly peers: readonly PeerView[];
  /** Jupyter serves on the node, and must be moved first. (Leadership is observed.) */
  readonly serves: boolean;
}

export type Retirement =
  /** Move leadership and Jupyter to one of these nodes first. */
  | { readonly kind: 'move'; readonly to: readonly [string, ...string[]]; readonly reason: string }
  /** Remove the member through one of `through` (node names). */
  | { readonly kind: 'remove'; readonly memberId: string; readonly through: readonly string[] }
  /** It is not, or no longer, a member. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'wait'; readonly reason: string };

/**
 * Decides one step; the caller executes it, observes again and decides again until the member is gone. A
 * healthy member leaves only while all remaining ones are healthy, since each removal reduces the losses that
 * etcd survives. A member that is unhealthy or has no vote leaves as soon as a quorum responds. No member
 * leaves if fewer than a majority would be healthy afterwards.
 */
export function decideRetirement({ node, peerUrl, staying, peers, serves }: RetirementInput): Retirement {
  const quorum = quorumOf({ peers });
  if (quorum === undefined) return { kind: 'wait', reason: `${node} stays: no etcd quorum responds` };
  const { membership, healthy, leader } = quorum;
  const own = membership.members.find((each) => isMemberOf(each, { name: node, peerUrl }));
  const others = healthy.filter((name) => name !== node);
  const targets = staying.filter((name) => others.includes(name));
  const [target, ...rest] = targets;
  if (own !== undefined && !own.learner && healthy.includes(node)) {
    const down = membership.members.filter(
      ({ id, name, learner }) => staying.includes(name) && !learner && !isHealthy(id, peers, healthy),
    );
    if (down.length > 0) {
      const names = down.map(({ name }) => name).join(', ');
      return { kind: 'wait', reason: `${node} stays while etcd members are unhealthy: ${names}` };
    }
  }
  if (serves || own?.id === leader) {
    return target === undefined
      ? { kind: 'wait', reason: `${node} stays: no other node has a healthy etcd member` }
      : {
          kind: 'move',
          to: [target, ...rest],
          reason: own?.id === leader ? 'it leads etcd' : 'Jupyter serves on it',
        };
  }
  if (own === undefined) return { kind: 'gone' };
  const left = voterIds(membership).filter((id) => id !== own.id).length;
  return others.length >= majority(left)
    ? { kind: 'remove', memberId: own.id, through: others }
    : {
        kind: 'wait',
        reason: `${node} stays: without it only ${others.length} of ${left} etcd members would be healthy`,
      };
}

function isHealthy(id: string, peers: readonly PeerView[], healthy: readonly string[]): boolean {
  return peers.some((peer) => peer.ok && peer.memberId === id && healthy.includes(peer.node));
}

/** Members of no desired node, left by nodes that ended before their member had been removed. */
export function strayMembers(
  members: readonly Member[],
  wanted: readonly { readonly name: string; readonly peerUrl: string }[],
): Member[] {
  return members.filter((member) => !wanted.some((each) => isMemberOf(member, each)));
}
