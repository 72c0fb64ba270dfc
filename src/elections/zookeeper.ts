/** Elections of the ZooKeeper ensemble, replayed from the logs of its servers: pure. */
import { zookeeperSteps, type ZooKeeperStep } from './zookeeper-log.js';
import {
  beginnings,
  bursts,
  merged,
  togetherMs,
  unknownAt,
  type MemberLog,
  type Unknown,
} from './member-log.js';

export interface EnsembleElection {
  /** `won`: a leader has a majority. `failed`: one was elected and found none. `open`: no leader yet. */
  readonly outcome: 'won' | 'failed' | 'open';
  /** The epoch that the leader began: the upper half of each transaction's number. */
  readonly epoch?: number;
  readonly leader?: string;
  /** Who led before, where a log shows it. */
  readonly before?: string;
  readonly round?: number;
  readonly startedAt: number;
  /** When the leader knew that it leads. */
  readonly decidedAt?: number;
  /** From the first step until the leader served clients; without that, until it knew that it leads. */
  readonly tookMs?: number;
  /** The last vote of each server. */
  readonly votes: readonly { readonly voter: string; readonly candidate: string }[];
  /** The steps; servers that looked for a leader later, and found this one, included. */
  readonly steps: readonly (ZooKeeperStep & {
    readonly peerName?: string;
    readonly candidateName?: string;
  })[];
  readonly unknown: readonly Unknown[];
}

/** From looking for a leader until it looks again. */
interface Episode {
  readonly member: string;
  readonly steps: readonly ZooKeeperStep[];
  readonly leads?: ZooKeeperStep;
  readonly follows?: ZooKeeperStep;
  /** Number of the server that it found. */
  readonly leader?: number;
  /** What other servers, which had a leader, answered to it. */
  readonly answers?: readonly ZooKeeperStep[];
}

/** A server of the ensemble, by its configuration. */
export interface EnsembleServer {
  readonly id: number;
  readonly member: string;
  readonly address: string;
}

export function replayEnsemble(
  logs: readonly MemberLog[],
  servers: readonly EnsembleServer[],
): EnsembleElection[] {
  const perMember = logs.map(({ member, log }) => (log.known ? zookeeperSteps(member, log.value) : []));
  const names = new Map([
    ...servers.map(({ id, member }) => [id, member] as const),
    ...perMember.flat().flatMap(({ id, member }) => (id === undefined ? [] : [[id, member] as const])),
  ]);
  const episodes = withAnswers(perMember.flatMap((steps) => episodesOf(steps, servers)));
  const begins = beginnings(logs);
  const order = new Map(perMember.flat().map((step, position) => [step, position]));
  const inOrder = (steps: readonly ZooKeeperStep[]) =>
    merged(
      steps.toSorted((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0)),
      () => 0,
    );
  return groupsOf(episodes)
    .map((group) => electionOf(group, names, inOrder, (at) => unknownAt(logs, begins, at)))
    .toSorted((a, b) => a.startedAt - b.startedAt);
}

const opening: ReadonlySet<ZooKeeperStep['kind']> = new Set(['started', 'lost-leader', 'steps-down']);

const early: ReadonlySet<ZooKeeperStep['kind']> = new Set([...opening, 'hears', 'answers']);

function episodesOf(steps: readonly ZooKeeperStep[], servers: readonly EnsembleServer[]): Episode[] {
  const starts = steps.flatMap(({ kind }, index) => {
    if (kind !== 'looking') return [];
    let start = index;
    // Votes of others may arrive before it looks.
    for (let before = index - 1; before >= 0 && early.has(steps[before]?.kind ?? 'looking'); before -= 1) {
      if (opening.has(steps[before]?.kind ?? 'looking')) start = before;
    }
    return [start];
  });
  return starts.map((start, index) => {
    const part = steps.slice(start, starts[index + 1]);
    const leads = part.find(({ kind }) => kind === 'leading');
    const follows = part.find(({ kind }) => kind === 'following');
    const leader = leads ? leads.id : follows && chosen(part, follows, servers);
    return {
      member: steps[start]?.member ?? '',
      steps: part,
      ...(leads && { leads }),
      ...(follows && { follows }),
      ...(leader !== undefined && { leader }),
    };
  });
}

/** Whom a follower found: the server that it connected to, or the one that decided votes named. */
function chosen(
  part: readonly ZooKeeperStep[],
  follows: ZooKeeperStep,
  servers: readonly EnsembleServer[],
): number | undefined {
  const address = part.find(({ kind }) => kind === 'connects')?.address;
  const connected = servers.find((server) => server.address === address)?.id;
  const before = part.slice(0, part.indexOf(follows));
  const decided = before.findLast(({ kind, isSettled }) => kind === 'hears' && isSettled === true);
  return connected ?? decided?.candidate ?? before.findLast(({ kind }) => kind === 'votes')?.candidate;
}

/** Moves each answer to the search that it answers; it is late if the answering server was suspended. */
function withAnswers(episodes: readonly Episode[]): Episode[] {
  const answers = episodes.flatMap(({ steps }) => steps.filter(({ kind }) => kind === 'answers'));
  const home = new Map(answers.map((answer) => [answer, searchOf(answer, episodes)]));
  return episodes.map((episode) => ({
    ...episode,
    steps: episode.steps.filter((step) => (home.get(step) ?? episode) === episode),
    answers: answers.filter((answer) => home.get(answer) === episode && !episode.steps.includes(answer)),
  }));
}

function searchOf({ peer, at }: ZooKeeperStep, episodes: readonly Episode[]): Episode | undefined {
  return episodes.findLast(
    (each) => each.steps.some(({ id }) => id === peer) && startOf(each) <= at + answerSkewMs,
  );
}

/** The clocks of two servers may differ by this much when a search is matched with its answers. */
const answerSkewMs = 1_000;

function groupsOf(episodes: readonly Episode[]): Episode[][] {
  const led = episodes.filter(({ leads }) => leads).toSorted((a, b) => startOf(a) - startOf(b));
  const groups = new Map<Episode, Episode[]>(led.map((each) => [each, [each]]));
  const rest: Episode[] = [];
  for (const each of episodes) {
    if (each.leads) continue;
    const at = each.follows?.at ?? Number.NaN;
    const lead = led.findLast(
      ({ leader, leads }) => leader === each.leader && (leads?.at ?? Infinity) <= at + togetherMs,
    );
    const group = lead && groups.get(lead);
    if (group) group.push(each);
    else rest.push(each);
  }
  const first = rest.map((episode) => ({ ...(episode.steps[0] as ZooKeeperStep), episode }));
  return [...groups.values(), ...bursts(first).map((burst) => burst.map(({ episode }) => episode))];
}

function startOf({ steps }: Episode): number {
  return steps[0]?.at ?? Number.NaN;
}

function electionOf(
  group: readonly Episode[],
  names: ReadonlyMap<number, string>,
  inOrder: (steps: readonly ZooKeeperStep[]) => ZooKeeperStep[],
  unknown: (at: number) => Unknown[],
): EnsembleElection {
  const nameOf = (id: number) => names.get(id) ?? `server ${id}`;
  const steps = inOrder(group.flatMap((each) => [...each.steps, ...(each.answers ?? [])]));
  const lead = group.find(({ leads }) => leads);
  const leader = lead?.leader ?? group.find((each) => each.leader !== undefined)?.leader;
  const quorum = lead?.steps.find(({ kind }) => kind === 'quorum');
  const serves = lead?.steps.find(({ kind }) => kind === 'serves');
  const decided = lead?.leads ?? group.find(({ follows }) => follows)?.follows;
  const startedAt = Math.min(...steps.map(({ at }) => at));
  const hasEnded = lead?.steps.some(({ kind }) => kind === 'steps-down') ?? false;
  const last = serves ?? decided;
  const round = group.flatMap((each) => each.steps).findLast((step) => step.round !== undefined)?.round;
  return {
    outcome: leader === undefined ? 'open' : lead && !quorum && hasEnded ? 'failed' : 'won',
    ...(quorum?.epoch !== undefined && { epoch: quorum.epoch }),
    ...(leader !== undefined && { leader: nameOf(leader) }),
    ...(round !== undefined && { round }),
    startedAt,
    ...(decided && { decidedAt: decided.at }),
    ...(last && { tookMs: last.at - startedAt }),
    votes: group.flatMap(({ member, steps: own, leads, follows }) => {
      // Those that looked for a leader later found this one.
      if ((own[0]?.at ?? 0) > (decided?.at ?? Infinity)) return [];
      const end = own.findIndex((step) => step === (leads ?? follows));
      const vote = own.slice(0, end < 0 ? undefined : end).findLast(({ kind }) => kind === 'votes');
      return vote?.candidate === undefined ? [] : [{ voter: member, candidate: nameOf(vote.candidate) }];
    }),
    steps: steps.map((step) => ({
      ...step,
      ...(step.peer !== undefined && { peerName: nameOf(step.peer) }),
      ...(step.candidate !== undefined && { candidateName: nameOf(step.candidate) }),
    })),
    unknown: unknown(startedAt),
  };
}
