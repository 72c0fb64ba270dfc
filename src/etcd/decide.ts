/** How a node starts its etcd member: decided from what its data say and what the other members say. */
import { majority } from '../cluster/spec.js';
import type { Identity } from './identity.js';
import { hasStarted, voterIds, type Member, type Membership } from './members.js';
import type { StartFailure } from './start-failure.js';

/** One other member, as this node was answered by it. */
export type PeerView =
  | {
      readonly node: string;
      readonly ok: false;
      /** It answers as a member that learns, and so cannot say more. */
      readonly learner?: string;
      readonly reason: string;
    }
  | {
      readonly node: string;
      readonly ok: true;
      readonly memberId: string;
      readonly term: number;
      /** Member ID; absent while it knows none. */
      readonly leader?: string;
      /** A linearizable read through it succeeded before `membership` was asked for. */
      readonly linearizable: boolean;
      readonly membership: Membership;
    };

export type DataView =
  | { readonly kind: 'none' }
  /** There is a data directory, and it does not say whose it is. */
  | { readonly kind: 'unreadable'; readonly why: string }
  | ({ readonly kind: 'member' } & Identity);

export interface Observation {
  readonly name: string;
  readonly peerUrl: string;
  /** etcd was whole once, or this node has had a member before. */
  readonly formed: boolean;
  /** The IDs that the static initial cluster gives. */
  readonly static: Identity;
  readonly data: DataView;
  /** How the etcd that was started last with these data ended; absent where it did not end by itself. */
  readonly failure?: StartFailure;
  /** Damaged data of another member of this node were put aside so long ago. */
  readonly replacedMsAgo?: number;
  /** The member that this very process has just added for the node. */
  readonly added?: string;
  /** How long this very process has seen the one learner of the cluster, and none of its answers. */
  readonly learnerSilentMs?: number;
  readonly peers: readonly PeerView[];
}

/**
 * An added member starts within seconds, and on a machine that is twenty times slower within a minute. One that is
 * silent for so long holds up all others for nothing.
 */
export const learnerPatienceMs = 60_000;

/** A disk that damages what is written to it would have its member replaced again and again. */
export const replacePauseMs = 10 * 60_000;

export type Decision =
  /** Bootstrap with the static initial cluster. */
  | { readonly kind: 'start-new'; readonly reason: string }
  | { readonly kind: 'start-with-data'; readonly reason: string }
  /** Start empty as the member that was added, with these members as the initial cluster. */
  | { readonly kind: 'start-added'; readonly members: readonly Member[]; readonly reason: string }
  /** Put the data aside, then decide again. `damaged`: though their member is one of the cluster. */
  | { readonly kind: 'drop-data'; readonly reason: string; readonly damaged?: { readonly memberId: string } }
  /** Remove the member through `through` (names of nodes), then decide again. */
  | {
      readonly kind: 'remove';
      readonly memberId: string;
      readonly through: readonly string[];
      readonly reason: string;
    }
  /** Add this node, as a learner, through one of `through`, then decide again with `added`. */
  | { readonly kind: 'add'; readonly through: readonly string[]; readonly reason: string }
  | { readonly kind: 'wait'; readonly reason: string };

/**
 * Decides one step; the caller carries it out, observes again and asks again until a start is decided. Each
 * step may be lost or repeated at any point: nothing is remembered but the data directory and etcd's own
 * membership.
 *
 * - Data whose member is listed are started with. So are data while no quorum answers: this member may be
 *   what the quorum lacks.
 * - Data that etcd itself called damaged, or older than what their member has promised, are put aside where a quorum
 *   is there without that member, which is then replaced as that of an empty node is.
 * - Data whose member is no longer listed by a quorum are put aside; they can never be of use again.
 * - An empty node never takes up a member that may have started before: raft relies on what a member has
 *   promised, and an empty one has forgotten it. It is removed and added as a new member. The one exception
 *   is the first bootstrap: a member of the static cluster that never started.
 * - An empty node bootstraps only while etcd has never been whole and nothing speaks against it.
 * - A node joins as a learner: it has no vote, and so costs no quorum, until it has caught up (`promote.ts`).
 *   etcd has one learner at a time, so nodes join one after the other; a learner that does not answer is removed.
 * - No member with a vote is removed where that would leave fewer healthy ones than a majority.
 */
export function decideEtcdStart(observation: Observation): Decision {
  const quorum = quorumOf(observation);
  return quorum === undefined
    ? decideWithoutQuorum(observation)
    : decideWithQuorum(observation, quorum.membership, quorum.healthy);
}

function decideWithQuorum(
  observation: Observation,
  { clusterId, members }: Membership,
  healthy: readonly string[],
): Decision {
  const { name, peerUrl, data } = observation;
  if (data.kind === 'member') {
    const own = members.find((member) => member.id === data.memberId);
    if (data.clusterId !== clusterId || own === undefined) {
      return {
        kind: 'drop-data',
        reason: `the data belongs to member ${data.memberId}, which is no longer in the cluster`,
      };
    }
    if (observation.failure?.kind === 'data') {
      return decideDamaged(own, observation.failure, voterIds({ clusterId, members }), healthy, observation);
    }
    return { kind: 'start-with-data', reason: 'the data belongs to a current member of the cluster' };
  }
  if (data.kind === 'unreadable') {
    return { kind: 'drop-data', reason: `the member of the data is unknown: ${data.why}` };
  }

  const mine = members.filter((member) => member.name === name || member.peerUrls.includes(peerUrl));
  const added = mine.find((member) => member.id === observation.added);
  if (added !== undefined && !hasStarted(added) && mine.length === 1) {
    return { kind: 'start-added', members, reason: `added as member ${added.id}` };
  }
  const [former] = mine;
  if (former !== undefined) {
    if (
      !observation.formed &&
      !hasStarted(former) &&
      former.id === observation.static.memberId &&
      clusterId === observation.static.clusterId
    ) {
      return { kind: 'start-new', reason: 'this member of the initial cluster has never started' };
    }
    const rest = voterIds({ clusterId, members }).filter((id) => id !== former.id).length;
    return healthy.length >= majority(rest)
      ? {
          kind: 'remove',
          memberId: former.id,
          through: healthy,
          reason: `the node has no data, but member ${former.id} may have started before`,
        }
      : {
          kind: 'wait',
          reason: `removing member ${former.id} would leave only ${healthy.length} of ${rest} members healthy`,
        };
  }
  const learner = members.find((member) => member.learner);
  if (learner === undefined) {
    return {
      kind: 'add',
      through: healthy,
      reason: 'the node has no data and is not a member of the cluster',
    };
  }
  const whose = learner.name === '' ? learner.peerUrls.join(', ') : learner.name;
  return (observation.learnerSilentMs ?? 0) >= learnerPatienceMs
    ? {
        kind: 'remove',
        memberId: learner.id,
        through: healthy,
        reason: `${whose} was added before, but does not respond`,
      }
    : { kind: 'wait', reason: `${whose} was added before, but has not caught up yet` };
}

/** A member that cannot start because of its own data is replaced, where all others make a quorum without it. */
function decideDamaged(
  own: Member,
  { words }: StartFailure,
  voters: readonly string[],
  healthy: readonly string[],
  { replacedMsAgo }: Observation,
): Decision {
  const rest = voters.filter((id) => id !== own.id).length;
  if (healthy.length < majority(rest)) {
    return {
      kind: 'wait',
      reason: `the data is damaged (${words}), and without this member only ${healthy.length} of ${rest} members are healthy`,
    };
  }
  if (replacedMsAgo !== undefined && replacedMsAgo < replacePauseMs) {
    return {
      kind: 'wait',
      reason: `the data is damaged again (${words}), ${Math.round(replacedMsAgo / 1000)} s after it was replaced`,
    };
  }
  return { kind: 'drop-data', reason: `the data is damaged: ${words}`, damaged: { memberId: own.id } };
}

function decideWithoutQuorum({ name, peerUrl, formed, static: own, data, peers }: Observation): Decision {
  if (data.kind === 'member') {
    return { kind: 'start-with-data', reason: 'no quorum responds; this member may be the missing one' };
  }
  if (data.kind === 'unreadable') {
    return { kind: 'wait', reason: `no quorum responds, and the member of the data is unknown: ${data.why}` };
  }
  if (formed) {
    return {
      kind: 'wait',
      reason: 'the node has no data and no quorum responds; bootstrapping again would lose the data in etcd',
    };
  }
  for (const peer of peers) {
    if (!peer.ok) continue;
    const { clusterId, members } = peer.membership;
    if (clusterId !== own.clusterId) {
      return { kind: 'wait', reason: `${peer.node} is in another cluster (${clusterId}) without a quorum` };
    }
    const mine = members.find((member) => member.name === name || member.peerUrls.includes(peerUrl));
    if (mine === undefined || mine.id !== own.memberId || hasStarted(mine)) {
      return { kind: 'wait', reason: `${peer.node} has seen this node before, but no quorum responds` };
    }
  }
  return { kind: 'start-new', reason: 'etcd has never been formed' };
}

/**
 * The membership as a quorum knows it, and the nodes of the members that were found healthy: they answered,
 * are listed, and follow the leader at the term of the member that the linearizable read went through. Undefined too
 * where reads went through members of different clusters.
 */
export function quorumOf({
  peers,
}: Pick<Observation, 'peers'>): { membership: Membership; healthy: string[]; leader: string } | undefined {
  const answered = peers.filter((peer) => peer.ok);
  const read = answered.filter((peer) => peer.linearizable && peer.leader !== undefined);
  // Which of them is the cluster of this node, no term tells.
  if (new Set(read.map(({ membership: { clusterId } }) => clusterId)).size > 1) return undefined;
  const confirmed = read.reduce<(typeof answered)[number] | undefined>(
    (best, peer) => (best === undefined || peer.term > best.term ? peer : best),
    undefined,
  );
  if (confirmed?.leader === undefined) return undefined;
  const { membership, term, leader } = confirmed;
  const healthy = answered.filter(
    (peer) =>
      peer.term === term &&
      peer.leader === leader &&
      membership.members.some((member) => member.id === peer.memberId),
  );
  return { membership, healthy: healthy.map((peer) => peer.node), leader };
}
