import { majority } from '../cluster/spec.js';
import { termIn, termText } from './term.js';

/** One configured member's response to a probe. */
export type Probe =
  | {
      readonly node: string;
      readonly ok: true;
      /** Unsigned 64-bit, in decimal. */
      readonly memberId: string;
      /** Member ID of the leader that it follows (or is); absent while it knows none. */
      readonly leader?: string;
      /** Raft term. */
      readonly term: number;
      /** A linearizable read through it succeeded after this response. */
      readonly linearizable: boolean;
      /** With such a read: the IDs of the voting members, as it listed them afterwards. */
      readonly voters?: readonly string[];
      /** With such a read: the epoch that it found; 0 if absent. */
      readonly epoch?: number;
    }
  | { readonly node: string; readonly ok: false; readonly reason: string };

export interface Verdict {
  /** Name of the node that leads etcd. */
  readonly leader: string;
  /** Epoch and raft term (`termIn`). */
  readonly term: number;
  /** Nodes whose member responded, the leader first, then by index. */
  readonly live: readonly string[];
}

export type Finding =
  | { readonly kind: 'verdict'; readonly verdict: Verdict }
  /** Nothing is certain, so nothing may be moved. */
  | { readonly kind: 'none'; readonly reason: string };

/**
 * Decides who leads etcd. `probes` holds one entry for each configured member, in index order.
 *
 * A leader that was stopped and resumes still claims to lead, at its old term, until it learns of the new
 * one. A verdict therefore requires three things at once: a majority of all voting members that reports the
 * same leader at the same term, the leader's own confirmation for that term, and a linearizable read through
 * it. The voting members are those that the leader lists after that read: while nodes are added or removed,
 * they may differ from the configured ones. The term never falls below that of the previous verdict, and one
 * term never has two leaders. A term of a higher epoch is higher whatever its raft term: after a recovery, members
 * of the lost quorum that return do not count.
 */
export function verdict(probes: readonly Probe[], previous?: Verdict): Finding {
  const voters = votersOf(probes);
  const members = voters?.length ?? probes.length;
  const needed = majority(members);
  const answered = probes
    .filter((probe) => probe.ok)
    .filter(({ memberId }) => voters === undefined || voters.includes(memberId));
  if (answered.length < needed) {
    return none(`${answered.length} of ${members} members respond, ${needed} are required`);
  }
  const agreed = answered.find(
    (candidate) => candidate.leader !== undefined && supporters(answered, candidate).length >= needed,
  );
  if (agreed === undefined) {
    const views = answered.map(({ node, leader, term }) => `${node}: ${leader ?? 'none'} at ${term}`);
    return none(`no majority agrees on one leader and term (${views.join(', ')})`);
  }
  const { term: raftTerm, leader: leaderId } = agreed;
  const leader = supporters(answered, agreed).find((probe) => probe.memberId === leaderId);
  if (leader === undefined) {
    return none(`member ${leaderId} does not confirm that it leads at term ${raftTerm}`);
  }
  if (!leader.linearizable) return none(`no linearizable read through ${leader.node} at term ${raftTerm}`);
  const term = termOf(leader);
  if (previous !== undefined) {
    if (term < previous.term) {
      return none(
        `term ${termText(term)} of ${leader.node} is lower than the last known term ${termText(previous.term)}`,
      );
    }
    if (term === previous.term && leader.node !== previous.leader) {
      return none(`${leader.node} and ${previous.leader} both lead at term ${termText(term)}`);
    }
  }
  const others = answered.filter((probe) => probe.node !== leader.node).map((probe) => probe.node);
  return { kind: 'verdict', verdict: { leader: leader.node, term, live: [leader.node, ...others] } };
}

type Answered = Extract<Probe, { ok: true }>;

/** The voting members that the leader of the highest term lists. */
function votersOf(probes: readonly Probe[]): readonly string[] | undefined {
  let newest: Answered | undefined;
  for (const probe of probes) {
    if (!probe.ok || probe.voters === undefined) continue;
    if (newest === undefined || termOf(probe) > termOf(newest)) newest = probe;
  }
  return newest?.voters;
}

function termOf({ epoch = 0, term }: Answered): number {
  return termIn(epoch, term);
}

function supporters(answered: readonly Answered[], candidate: Answered): Answered[] {
  return answered.filter((probe) => probe.term === candidate.term && probe.leader === candidate.leader);
}

function none(reason: string): Finding {
  return { kind: 'none', reason };
}
