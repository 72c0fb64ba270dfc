/** How a node starts its etcd member, decided from its data and the other members' reports. */
import { majority } from '../cluster/spec.js';
import type { Identity } from './identity.js';
import {
  hasStarted,
  isMemberOf,
  peerScheme,
  voterIds,
  type Member,
  type Membership,
  type PeerScheme,
} from './members.js';
import type { StartFailure } from './start-failure.js';

/** Another member as observed by this node. */
export type PeerView =
  | {
      readonly node: string;
      readonly ok: false;
      /** It responds as a learner, which can report nothing else. */
      readonly learner?: string;
      readonly reason: string;
    }
  | {
      readonly node: string;
      readonly ok: true;
      readonly memberId: string;
      readonly term: number;
      /** Member ID; absent while it knows no leader. */
      readonly leader?: string;
      /** A linearizable read through it succeeded before `membership` was requested. */
      readonly linearizable: boolean;
      /** The epoch that this read found; 0 if absent. */
      readonly epoch?: number;
      readonly membership: Membership;
    };

export type DataView =
  | { readonly kind: 'none' }
  /** A data directory exists, but it does not show whose it is. */
  | { readonly kind: 'unreadable'; readonly why: string }
  | ({ readonly kind: 'member' } & Identity);

/** What the first member of a new epoch begins with. */
export type SeedSource = 'data' | 'nothing';

export interface Observation {
  readonly name: string;
  /** Where others are to reach it. */
  readonly peerUrl: string;
  /** With or without TLS: as they know it. */
  readonly anyScheme?: boolean;
  /** As far as this node knows, they reach it in another way than they are to; and it may wait for them to be told. */
  readonly mustTell?: boolean;
  /** The highest epoch that this node knows; 0 if absent. */
  readonly epoch?: number;
  /** The epoch of its data; 0 if absent. */
  readonly dataEpoch?: number;
  /** An operator's recovery begins the epoch `epoch` with this node. */
  readonly seed?: SeedSource;
  /** etcd has been formed, or this node has had a member before. */
  readonly formed: boolean;
  /** The IDs that follow from the static initial cluster. */
  readonly static: Identity;
  readonly data: DataView;
  /** How the last etcd process with this data exited; absent if it did not fail. */
  readonly failure?: StartFailure;
  /** Time since damaged data of another member of this node was moved aside. */
  readonly replacedMsAgo?: number;
  /** The member that this process has just added for the node. */
  readonly added?: string;
  /** How long this process has observed the cluster's only learner without a response from it. */
  readonly learnerSilentMs?: number;
  readonly peers: readonly PeerView[];
}

/**
 * An added member starts within seconds, and within a minute on a machine that is twenty times slower. One
 * that is silent for longer only blocks all others.
 */
export const learnerPatienceMs = 60_000;

/**
 * A quorum answers within seconds, on a machine that is twenty times slower as well. A member that waited for longer may
 * be the one that is missing.
 */
export const tellPatienceMs = 45_000;

/** Keeps a member on a failing disk from being replaced over and over. */
export const replacePauseMs = 10 * 60_000;

export type Decision =
  /** Bootstrap with the static initial cluster. */
  | { readonly kind: 'start-new'; readonly reason: string }
  /** `scheme`: how the others reach it; absent: as far as this node knows. */
  | { readonly kind: 'start-with-data'; readonly reason: string; readonly scheme?: PeerScheme }
  /** Tell the others, through one of `through`, to reach the member with or without TLS; then decide again. */
  | {
      readonly kind: 'announce';
      readonly memberId: string;
      readonly peerUrl: string;
      readonly through: readonly string[];
      readonly reason: string;
    }
  /** Start without data as the added member, with these members as the initial cluster. */
  | { readonly kind: 'start-added'; readonly members: readonly Member[]; readonly reason: string }
  /** Begin an epoch as its only member, with the data of an earlier one or without data; then decide again. */
  | { readonly kind: 'begin-epoch'; readonly from: SeedSource; readonly reason: string }
  /** Note the epoch of the others, for the node or for its data, then decide again. */
  | {
      readonly kind: 'adopt-epoch';
      readonly epoch: number;
      readonly of: 'node' | 'data';
      readonly reason: string;
    }
  /**
   * Move the data aside, then decide again. `damaged`: the data belongs to a current member. `outdated`: it is kept
   * as that of this epoch.
   */
  | {
      readonly kind: 'drop-data';
      readonly reason: string;
      readonly damaged?: { readonly memberId: string };
      readonly outdated?: number;
    }
  /** Remove the member through one of `through` (node names), then decide again. */
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
 * Decides one step; the caller executes it, observes again and decides again until a start is decided. Each
 * step may be lost or repeated at any point: the only state is the data directory and etcd's own membership.
 *
 * - Data of a listed member are used. So are data while no quorum responds: this member may be the missing
 *   one.
 * - Data that etcd reported as damaged, or that is older than the member's promises, is moved aside if the other
 *   members are a quorum without this one, which is then replaced like that of a node without data.
 * - Data of a member that a quorum no longer lists are moved aside; they can never be used again.
 * - A node without data never takes over a member that may have started before: raft relies on a member's
 *   promises, which are lost with its data. The member is removed and the node added as a new one. The one
 *   exception is the first bootstrap: a member of the static cluster that never started.
 * - A node without data bootstraps only if etcd has never been formed and nothing contradicts that.
 * - A node joins as a learner: without a vote, it costs no quorum until it has caught up (`promote.ts`). etcd
 *   has one learner at a time, so nodes join one after the other; a learner that does not respond is removed.
 * - No voting member is removed if that would leave fewer healthy ones than a majority.
 * - Data of an earlier epoch are never started again, except by the node with which the next one begins. They are
 *   moved aside once a quorum of this epoch does not list their member. A quorum of an earlier epoch does not count;
 *   one of a later epoch is joined.
 */
export function decideEtcdStart(observation: Observation): Decision {
  const { data, epoch = 0, dataEpoch = 0 } = observation;
  const quorum = quorumOf(observation);
  if (quorum !== undefined && quorum.epoch > epoch) {
    const reason = `etcd was recovered: the others are in epoch ${quorum.epoch}`;
    return { kind: 'adopt-epoch', epoch: quorum.epoch, of: 'node', reason };
  }
  if (data.kind !== 'none' && dataEpoch < epoch) return decideOutdated(observation, quorum);
  if (quorum !== undefined) return decideWithQuorum(observation, quorum.membership, quorum.healthy);
  return data.kind === 'none' && observation.seed === 'nothing'
    ? { kind: 'begin-epoch', from: 'nothing', reason: `epoch ${epoch} begins without data` }
    : decideWithoutQuorum(observation);
}

/** With data of an epoch before that of the node. */
function decideOutdated(
  { data, epoch = 0, dataEpoch = 0, seed }: Observation,
  quorum: Quorum | undefined,
): Decision {
  const what = `the data is of epoch ${dataEpoch}, and etcd was recovered since: this is epoch ${epoch}`;
  const drop: Decision = { kind: 'drop-data', outdated: dataEpoch, reason: what };
  if (quorum === undefined) {
    if (seed === 'nothing') return drop;
    return seed === 'data' && data.kind === 'member'
      ? { kind: 'begin-epoch', from: 'data', reason: `epoch ${epoch} begins with the data of this node` }
      : { kind: 'wait', reason: `${what}; no quorum responds` };
  }
  const { clusterId, members } = quorum.membership;
  const isListed =
    data.kind === 'member' && data.clusterId === clusterId && members.some(({ id }) => id === data.memberId);
  return isListed
    ? {
        kind: 'adopt-epoch',
        epoch,
        of: 'data',
        reason: `the quorum of epoch ${epoch} lists the member of the data`,
      }
    : drop;
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
    return startListed(own, healthy, observation);
  }
  if (data.kind === 'unreadable') {
    return { kind: 'drop-data', reason: `the member of the data is unknown: ${data.why}` };
  }

  const mine = members.filter((member) => isMemberOf(member, { name, peerUrl }));
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

/** Starts a member with its data, where the others look for it. */
function startListed(own: Member, healthy: readonly string[], { peerUrl, anyScheme }: Observation): Decision {
  const scheme = peerScheme(own, peerUrl);
  if (scheme !== undefined && anyScheme !== true && !peerUrl.startsWith(`${scheme}:`)) {
    const reason = `the others reach member ${own.id} by ${scheme}`;
    return { kind: 'announce', memberId: own.id, peerUrl, through: healthy, reason };
  }
  return {
    kind: 'start-with-data',
    reason: 'the data belongs to a current member of the cluster',
    ...(scheme !== undefined && { scheme }),
  };
}

/** Replaces a member that cannot start because of its data, if the others are a quorum without it. */
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

function decideWithoutQuorum({
  name,
  peerUrl,
  mustTell,
  formed,
  static: own,
  data,
  peers,
}: Observation): Decision {
  if (data.kind === 'member' && mustTell === true) {
    return {
      kind: 'wait',
      reason: `the others are to reach this member at ${peerUrl}; no quorum responds yet`,
    };
  }
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
    const mine = members.find((member) => isMemberOf(member, { name, peerUrl }));
    if (mine === undefined || mine.id !== own.memberId || hasStarted(mine)) {
      return { kind: 'wait', reason: `${peer.node} has seen this node before, but no quorum responds` };
    }
  }
  return { kind: 'start-new', reason: 'etcd has never been formed' };
}

export interface Quorum {
  readonly epoch: number;
  readonly membership: Membership;
  readonly healthy: readonly string[];
  /** Member ID. */
  readonly leader: string;
}

/**
 * The membership that a quorum knows, and the nodes of its healthy members: those that responded, are listed,
 * and follow the leader at the term of the member that served the linearizable read. Of two quorums, that of the
 * higher epoch; none of an epoch below `epoch`. Also undefined if reads of one epoch went through members of
 * different clusters.
 */
export function quorumOf({
  peers,
  epoch: least = 0,
}: Pick<Observation, 'peers' | 'epoch'>): Quorum | undefined {
  const answered = peers.filter((peer) => peer.ok);
  const reads = answered.filter((peer) => peer.linearizable && peer.leader !== undefined);
  const epoch = Math.max(least, ...reads.map((peer) => peer.epoch ?? 0));
  const read = reads.filter((peer) => (peer.epoch ?? 0) === epoch);
  // The terms do not show which of them is this node's cluster.
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
  return { epoch, membership, healthy: healthy.map((peer) => peer.node), leader };
}
