/** Elections of etcd, replayed from the logs of its members: pure. */
import { raftIdentities, raftSteps, type RaftStep } from './raft-log.js';
import {
  beginnings,
  bursts,
  merged,
  push,
  togetherMs,
  unknownAt,
  type MemberLog,
  type Unknown,
} from './member-log.js';

/** One term in which somebody was a candidate. */
export interface RaftRound {
  readonly term: number;
  readonly candidates: readonly string[];
  /** Each vote that a voter cast or a candidate received, its own included. */
  readonly votes: readonly { readonly voter: string; readonly candidate: string }[];
  readonly rejections: readonly { readonly voter: string; readonly candidate: string }[];
  /** `split`: two or more candidates, and none had a majority. `lost`: one, without a majority. */
  readonly result: 'won' | 'split' | 'lost';
  readonly leader?: string;
}

export interface RaftElection {
  /** `won`: a leader in a new term. `kept`: somebody asked for an election, and the leader stayed. `open`: no leader yet. */
  readonly outcome: 'won' | 'kept' | 'open';
  /** The term of the leader; of an open election, the highest term so far. */
  readonly term: number;
  /** Who leads in that term; absent if no log names a leader. */
  readonly leader?: string;
  /** Who led before, where a log names it. */
  readonly before?: string;
  /** Times of the first step, and of the step that made the leader; by the clocks of their members. */
  readonly startedAt: number;
  readonly decidedAt?: number;
  readonly tookMs?: number;
  /** Of the winner, by its own clock: from the trial vote to the candidacy, and from there to leadership. */
  readonly preVoteMs?: number;
  readonly voteMs?: number;
  readonly rounds: readonly RaftRound[];
  readonly steps: readonly RaftStep[];
  /** Members whose part in it is not known. */
  readonly unknown: readonly Unknown[];
}

export interface RaftReplay {
  readonly elections: readonly RaftElection[];
  /** Names of the members by ID, as far as their logs tell. */
  readonly names: ReadonlyMap<string, string>;
}

/** @param addresses of nodes by name, which name a member whose own log is not known */
export function replayRaft(
  logs: readonly MemberLog[],
  addresses: ReadonlyMap<string, string> = new Map(),
): RaftReplay {
  const perMember = logs.map(({ member, log }) => (log.known ? raftSteps(member, log.value) : []));
  const names = namesOf(logs, perMember.flat(), addresses);
  const nameOf = (id: string) => names.get(id) ?? `member ${id}`;
  const leaders = leadersOf(perMember.flat());
  const placed = perMember
    .flatMap((steps) => placedSteps(steps, leaders))
    .map((each, order) => ({ ...each, order }));
  const begins = beginnings(logs);
  const elections = groups(placed, leaders).map((group) =>
    electionOf(group, leaders, nameOf, (at) => unknownAt(logs, begins, at)),
  );
  return { elections: elections.toSorted((a, b) => a.term - b.term || a.startedAt - b.startedAt), names };
}

function namesOf(
  logs: readonly MemberLog[],
  steps: readonly RaftStep[],
  addresses: ReadonlyMap<string, string>,
): Map<string, string> {
  const names = new Map<string, string>();
  for (const { log } of logs) {
    for (const { id, name, url } of log.known ? raftIdentities(log.value) : []) {
      const [known] = [...addresses].find(([, address]) => url?.includes(`//${address}:`)) ?? [];
      const found = name ?? known;
      if (found !== undefined) names.set(id, found);
    }
  }
  for (const { id, member } of steps) names.set(id, member);
  return names;
}

/** The leader of each term that some log names, by ID. */
function leadersOf(steps: readonly RaftStep[]): ReadonlyMap<number, string> {
  const leaders = new Map<number, string>();
  for (const { kind, term, id, peer } of steps) {
    if (kind === 'leads') leaders.set(term, id);
    if (kind === 'follows' && peer !== undefined && !leaders.has(term)) leaders.set(term, peer);
  }
  return leaders;
}

// --- which election a step belongs to -----------------------------------------------------------------------

/** A step with the term that it counts for: `after` a term while nobody is a candidate of the next one. */
interface Placed {
  readonly step: RaftStep;
  readonly term: number;
  readonly after: boolean;
  /** Position among all steps: that of the log, within a member. */
  readonly order: number;
}

const trial: ReadonlySet<RaftStep['kind']> = new Set([
  ...(['starts', 'steps-down', 'transfers', 'told-to-campaign', 'pre-candidate', 'ignores'] as const),
]);

function placedSteps(
  steps: readonly RaftStep[],
  leaders: ReadonlyMap<number, string>,
): Omit<Placed, 'order'>[] {
  /** What the member was before: its term, whether it was a candidate in it, and whether it had a leader in it. */
  let term = -1;
  let isCandidate = false;
  let hadLeader = false;
  return steps.map((step) => {
    const isSecond = step.term === term;
    const again =
      (step.kind === 'follower' && isSecond && !isCandidate) ||
      (step.kind === 'follows' && isSecond && hadLeader) ||
      (step.kind === 'restarted' && leaders.has(step.term)) ||
      (step.kind === 'lost-leader' && leaders.get(step.term) === step.peer);
    if (step.kind !== 'higher-term') {
      const ended = step.kind === 'follower' || step.kind === 'leads';
      isCandidate = step.kind === 'candidate' || (isSecond && isCandidate && !ended);
      hadLeader = step.kind === 'follows' || (isSecond && hadLeader);
      term = step.term;
    }
    const isLate = step.kind === 'rejects' && leaders.get(step.term) === step.peer;
    const before = trial.has(step.kind) || (step.pre === true && !isLate);
    return { step, term: step.term, after: again || before };
  });
}

type Group = readonly Placed[];

function groups(placed: readonly Placed[], leaders: ReadonlyMap<number, string>): Group[] {
  const won = [...leaders.keys()].toSorted((a, b) => a - b);
  const decided = new Map<number, Placed[]>();
  const after = new Map<number, Placed[]>();
  for (const each of placed) {
    if (each.after && leaders.has(each.term)) push(after, each.term, each);
    else push(decided, won.find((term) => term >= each.term) ?? Infinity, each);
  }
  const rest: Group[] = [];
  for (const [term, steps] of after) {
    const next = won.find((each) => each > term) ?? Infinity;
    const first = Math.min(...(decided.get(next) ?? []).map(({ step }) => step.at));
    const clusters = bursts(steps.map((each) => ({ ...each.step, placed: each })));
    for (const cluster of clusters) {
      const found = cluster.map((each) => each.placed);
      const end = cluster.at(-1)?.at ?? Number.NaN;
      if (first - end <= togetherMs) decided.get(next)?.push(...found);
      else if (cluster.some(({ kind }) => opens.has(kind))) rest.push(found);
    }
  }
  return [...decided.values(), ...rest];
}

/** Without one of these, members were only started, or learned who leads. */
const opens: ReadonlySet<RaftStep['kind']> = new Set([
  ...(['lost-leader', 'steps-down', 'transfers', 'told-to-campaign', 'starts', 'pre-candidate'] as const),
  ...(['asks', 'grants', 'rejects', 'ignores'] as const),
]);

// --- what it was --------------------------------------------------------------------------------------------

function electionOf(
  group: Group,
  leaders: ReadonlyMap<number, string>,
  nameOf: (id: string) => string,
  unknown: (at: number) => Unknown[],
): RaftElection {
  const ranks = ranksOf(group);
  const steps = merged(inLogOrder(group), (step) => ranks.get(step) ?? step.term);
  const named = steps.map((step) => (step.peer === undefined ? step : { ...step, peer: nameOf(step.peer) }));
  const highest = Math.max(...group.map(({ term }) => term));
  const isVote = group.some(({ after }) => !after);
  const leader = leaders.get(highest);
  const outcome = leader === undefined ? 'open' : isVote ? 'won' : isSettled(named) ? 'kept' : 'open';
  const lost = steps.find(({ kind }) => kind === 'lost-leader' || kind === 'transfers');
  const before = lost?.kind === 'transfers' ? lost.id : lost?.peer;
  const decision = outcome === 'won' ? decidedBy(named, highest) : undefined;
  const startedAt = Math.min(...named.map(({ at }) => at));
  return {
    outcome,
    term: highest,
    ...(leader !== undefined && (outcome !== 'open' || isVote) && { leader: nameOf(leader) }),
    ...(before !== undefined && { before: nameOf(before) }),
    startedAt,
    ...(decision && { decidedAt: decision.at, tookMs: decision.at - startedAt, ...spans(named, decision) }),
    rounds: roundsOf(named, leaders, nameOf),
    steps: named,
    unknown: unknown(startedAt),
  };
}

/** A start ranks with what the member does next: it may be long after the vote, in an old term. */
function ranksOf(group: Group): ReadonlyMap<RaftStep, number> {
  const ranks = new Map<RaftStep, number>();
  const next = new Map<string, number>();
  for (const { step, term, after } of group.toSorted((a, b) => b.order - a.order)) {
    const rank = (step.kind === 'restarted' ? next.get(step.member) : undefined) ?? term + (after ? 0.5 : 0);
    ranks.set(step, rank);
    next.set(step.member, rank);
  }
  return ranks;
}

/** The steps of each member in the order of its log: groups were put together by term. */
function inLogOrder(group: Group): RaftStep[] {
  return group.toSorted((a, b) => a.order - b.order).map(({ step }) => step);
}

/** Whether everybody who lost the leader has one again. */
function isSettled(steps: readonly RaftStep[]): boolean {
  const last = new Map<string, RaftStep['kind']>();
  for (const { member, kind } of steps) {
    if (kind === 'lost-leader' || kind === 'follows') last.set(member, kind);
  }
  return [...last.values()].every((kind) => kind === 'follows');
}

function decidedBy(steps: readonly RaftStep[], term: number): RaftStep | undefined {
  return (
    steps.find((step) => step.kind === 'leads' && step.term === term) ??
    steps.find((step) => step.kind === 'follows' && step.term === term)
  );
}

function spans(steps: readonly RaftStep[], decision: RaftStep): Pick<RaftElection, 'preVoteMs' | 'voteMs'> {
  if (decision.kind !== 'leads') return {};
  const own = steps.filter(({ member }) => member === decision.member);
  const candidate = own.find(({ kind, term }) => kind === 'candidate' && term === decision.term);
  if (!candidate) return {};
  const trialVote = own.findLast(({ kind, term }) => kind === 'pre-candidate' && term === decision.term - 1);
  return {
    ...(trialVote && { preVoteMs: candidate.at - trialVote.at }),
    voteMs: decision.at - candidate.at,
  };
}

function roundsOf(
  steps: readonly RaftStep[],
  leaders: ReadonlyMap<number, string>,
  nameOf: (id: string) => string,
): RaftRound[] {
  const votes = steps.flatMap((step) => voteOf(step));
  const asked = steps.flatMap(({ kind, member, term }) =>
    kind === 'candidate' ? [{ term, candidate: member }] : [],
  );
  const terms = [...new Set([...asked, ...votes].map(({ term }) => term))].toSorted((a, b) => a - b);
  return terms.map((term) => {
    const of = votes.filter((each) => each.term === term);
    const candidates = unique(
      [...asked, ...votes].flatMap((each) => (each.term === term ? [each.candidate] : [])),
    );
    const leader = leaders.get(term);
    return {
      term,
      candidates,
      votes: pairs(of.filter(({ given }) => given)),
      rejections: pairs(of.filter(({ given }) => !given)),
      result: leader !== undefined ? 'won' : candidates.length > 1 ? 'split' : 'lost',
      ...(leader !== undefined && { leader: nameOf(leader) }),
    };
  });
}

/** Of a vote, not of a trial. */
function voteOf({ kind, member, peer, pre, term }: RaftStep) {
  if (peer === undefined || pre !== false) return [];
  if (kind === 'grants' || kind === 'rejects') {
    return [{ term, voter: member, candidate: peer, given: kind === 'grants' }];
  }
  if (kind === 'granted' || kind === 'refused') {
    return [{ term, voter: peer, candidate: member, given: kind === 'granted' }];
  }
  return [];
}

function pairs(votes: readonly { readonly voter: string; readonly candidate: string }[]) {
  const seen = new Map(votes.map(({ voter, candidate }) => [`${voter} ${candidate}`, { voter, candidate }]));
  return [...seen.values()];
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}
