/** How the member of a node that is to go leaves etcd. */
import { majority } from '../cluster/spec.js';
import { quorumOf, type PeerView } from './decide.js';
import { voterIds, type Member } from './members.js';

export interface RetirementInput {
  /** Name of the node that is to go. */
  readonly node: string;
  readonly peerUrl: string;
  /** Nodes that stay, by index. */
  readonly staying: readonly string[];
  /** One view of each member that can be asked, its own among them. */
  readonly peers: readonly PeerView[];
  /** The node has what must be moved first: Jupyter serves there. (That it leads is seen.) */
  readonly serves: boolean;
}

export type Retirement =
  /** Leadership and Jupyter go to one of these nodes first. */
  | { readonly kind: 'move'; readonly to: readonly [string, ...string[]]; readonly reason: string }
  /** Remove the member, through one of `through` (names of nodes). */
  | { readonly kind: 'remove'; readonly memberId: string; readonly through: readonly string[] }
  /** It is no member (any more). */
  | { readonly kind: 'gone' }
  | { readonly kind: 'wait'; readonly reason: string };

/**
 * Decides one step; the caller carries it out, observes again and asks again until the member is gone. A member
 * that works leaves only while every one that stays works: each one less is one loss less that etcd survives. A
 * member that does not work, or that has no vote, leaves as soon as a quorum answers. None leaves where fewer than a
 * majority would be healthy afterwards.
 */
export function decideRetirement({ node, peerUrl, staying, peers, serves }: RetirementInput): Retirement {
  const quorum = quorumOf({ peers });
  if (quorum === undefined) return { kind: 'wait', reason: `${node} stays: no etcd quorum responds` };
  const { membership, healthy, leader } = quorum;
  const own = membership.members.find(({ name, peerUrls }) => name === node || peerUrls.includes(peerUrl));
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

/** Members of no node that is wanted: what is left where a node ended before its member had left. */
export function strayMembers(
  members: readonly Member[],
  wanted: readonly { readonly name: string; readonly peerUrl: string }[],
): Member[] {
  return members.filter(
    (member) => !wanted.some((each) => member.name === each.name || member.peerUrls.includes(each.peerUrl)),
  );
}
