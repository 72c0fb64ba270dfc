/** Changes of the leading Mesos master, and its recovery of the replicated log, replayed from the masters' logs: pure. */
import { paxosSteps, type PaxosKind, type PaxosStep } from './paxos-log.js';
import {
  beginnings,
  merged,
  push,
  togetherMs,
  unknownAt,
  type MemberLog,
  type Unknown,
} from './member-log.js';

export interface MasterElection {
  /** `won`: a master leads. `open`: no log names a leader yet. */
  readonly outcome: 'won' | 'open';
  /** Number of the leader's znode: the lowest one leads, and later candidates have higher ones. */
  readonly sequence?: number;
  readonly leader?: string;
  /** Who led before, where a log names it. */
  readonly before?: string;
  readonly startedAt: number;
  /** When the leader learned that it leads; without its log, when the first master saw it. */
  readonly decidedAt?: number;
  /** When it had read the registry from the replicated log. Absent until then, or if its log is not known. */
  readonly recoveredAt?: number;
  /** From the first step to the last of these. */
  readonly tookMs?: number;
  /** Of the promise that a majority gave; absent if no log has one, as with the stand-in. */
  readonly proposal?: number;
  /** Replicas that promised, and those that denied a proposal. */
  readonly promised: readonly string[];
  readonly denied: readonly string[];
  /** Positions that were filled or written until the leader had the registry. */
  readonly positions: readonly number[];
  readonly steps: readonly PaxosStep[];
  /** Writes after that, which are the leader's daily work, and the highest position they reached. */
  readonly laterWrites: number;
  readonly lastPosition?: number;
  readonly unknown: readonly Unknown[];
}

/** @param masters host by `address:port` */
export function replayMasters(
  logs: readonly MemberLog[],
  masters: ReadonlyMap<string, string> = new Map(),
): MasterElection[] {
  const nameOf = (address: string) => masters.get(address) ?? address;
  const groups = new Map<number, PaxosStep[]>();
  const perMember = logs.map(({ member, log }) => (log.known ? paxosSteps(member, log.value) : []));
  const known = perMember
    .flat()
    .flatMap(({ kind, sequence = Infinity }) => (kind === 'detects' ? [sequence] : []));
  for (const steps of perMember) {
    for (const { sequence, step } of placedSteps(steps, known)) {
      push(groups, sequence, step);
    }
  }
  const begins = beginnings(logs);
  return [...groups]
    .toSorted(([a], [b]) => a - b)
    .filter(([, steps]) => steps.some(({ kind }) => shows.has(kind)))
    .map(([sequence, steps]) => electionOf(sequence, steps, nameOf, (at) => unknownAt(logs, begins, at)));
}

/** Without one of these, a master was only started. */
const shows: ReadonlySet<PaxosKind> = new Set([
  ...(['detects', 'elected', 'cancelled', 'exits', 'session-expired'] as const),
]);

/** What ends the leadership of before, and so belongs to the next one. */
const ends: ReadonlySet<PaxosKind> = new Set([
  ...(['replica', 'lost-zookeeper', 'session-expired', 'cancelled', 'exits'] as const),
]);

const ofLog: ReadonlySet<PaxosKind> = new Set([
  ...(['promise-asked', 'promises', 'denies', 'position-asked', 'write-asked', 'learned'] as const),
]);

/** Each step with the number of the leadership that it belongs to; Infinity for one that has no leader yet. */
function placedSteps(
  steps: readonly PaxosStep[],
  known: readonly number[],
): { sequence: number; step: PaxosStep }[] {
  const detected = steps.flatMap(({ kind, sequence }, index) =>
    kind === 'detects' && sequence !== undefined
      ? [{ index, sequence, leader: leaderAfter(steps, index) }]
      : [],
  );
  let coordinator: string | undefined;
  return steps.map((step, index) => {
    const start = steps.findLastIndex(({ kind }, each) => kind === 'replica' && each <= index);
    const current = detected.findLast((each) => each.index <= index && each.index > start);
    const next = detected.find((each) => each.index > index);
    const isNone = step.kind === 'detects' && step.sequence === undefined;
    if (ofLog.has(step.kind)) coordinator = step.peer ?? coordinator;
    // A replica may be asked for its promise before its master has seen who leads.
    const isEarly = ofLog.has(step.kind) && coordinator !== current?.leader && coordinator === next?.leader;
    const isFirst = step.kind === 'contends' && current === undefined;
    const isOfNext = isFirst || ends.has(step.kind) || isNone || isEarly;
    // A master that exited sees no next leader, but others do.
    const later = isOfNext
      ? Math.min(...known.filter((each) => each > (endedBy(steps, index) ?? Infinity)))
      : Infinity;
    return { sequence: (isOfNext ? next : current)?.sequence ?? later, step };
  });
}

/** The number of the leadership that ended about here, in the log of the one who led. */
function endedBy(steps: readonly PaxosStep[], index: number): number | undefined {
  const at = steps[index]?.at ?? Number.NaN;
  return steps.find((step) => step.kind === 'cancelled' && Math.abs(step.at - at) <= togetherMs)?.sequence;
}

function leaderAfter(steps: readonly PaxosStep[], index: number): string | undefined {
  const next = steps.slice(index + 1).find(({ kind }) => kind === 'leader' || kind === 'detects');
  return next?.kind === 'leader' ? next.peer : undefined;
}

function electionOf(
  sequence: number,
  found: readonly PaxosStep[],
  nameOf: (address: string) => string,
  unknown: (at: number) => Unknown[],
): MasterElection {
  const named = found.map((step) => (step.peer === undefined ? step : { ...step, peer: nameOf(step.peer) }));
  const all = merged(
    named.filter((step) => isPartOf(step, named)),
    () => 0,
  );
  const elected = all.find(({ kind }) => kind === 'elected');
  const seen = all.find(({ kind }) => kind === 'leader');
  const leader = elected?.member ?? seen?.peer;
  const recovered = all.find(({ kind, member }) => kind === 'registrar-recovered' && member === leader);
  const decided = elected ?? seen;
  const steps = withoutLater(all, recovered);
  const later = all.filter((step) => !steps.includes(step));
  const first = steps.filter(({ kind }) => kind !== 'contends' && kind !== 'replica');
  const startedAt = Math.min(...(first.length > 0 ? first : steps).map(({ at }) => at));
  const last = recovered ?? decided;
  const lastPosition = Math.max(...all.map(({ position }) => position ?? -1));
  const lost = all.find(({ kind }) => kind === 'exits' || kind === 'cancelled');
  return {
    outcome: leader === undefined ? 'open' : 'won',
    ...(Number.isFinite(sequence) && { sequence }),
    ...(leader !== undefined && { leader }),
    ...(lost && { before: lost.member }),
    startedAt,
    ...(decided && { decidedAt: decided.at }),
    ...(recovered && { recoveredAt: recovered.at }),
    ...(last && { tookMs: last.at - startedAt }),
    ...promisesOf(steps),
    positions: positionsOf(steps),
    steps,
    laterWrites: new Set(later.flatMap(({ kind, position }) => (kind === 'write-asked' ? [position] : [])))
      .size,
    ...(lastPosition >= 0 && { lastPosition }),
    unknown: unknown(startedAt),
  };
}

/** A lost connection to ZooKeeper is part of it only if more followed: most are soon restored. */
function isPartOf(step: PaxosStep, steps: readonly PaxosStep[]): boolean {
  if (step.kind !== 'lost-zookeeper') return true;
  return steps.some(
    ({ kind, member, at }) =>
      (kind === 'session-expired' || kind === 'detects') &&
      member === step.member &&
      at >= step.at &&
      at - step.at <= togetherMs,
  );
}

/** Up to the recovery of the registry: what the coordinator proposed until then, wherever it was written. */
function withoutLater(all: readonly PaxosStep[], recovered: PaxosStep | undefined): PaxosStep[] {
  if (!recovered) return [...all];
  const own = all.filter(({ member }) => member === recovered.member);
  const until = own.slice(0, own.indexOf(recovered) + 1);
  const last = Math.max(...until.map(({ position }) => position ?? -1));
  return all.filter((step) => {
    if (step.position === undefined || ends.has(step.kind)) return true;
    return step.member === recovered.member ? until.includes(step) : step.position <= last;
  });
}

function promisesOf(steps: readonly PaxosStep[]): Pick<MasterElection, 'proposal' | 'promised' | 'denied'> {
  const members = (wanted: PaxosKind) => [
    ...new Set(steps.flatMap(({ kind, member }) => (kind === wanted ? [member] : []))),
  ];
  const proposal = Math.max(...steps.map((step) => (step.kind === 'promises' ? (step.proposal ?? -1) : -1)));
  return {
    ...(proposal >= 0 && { proposal }),
    promised: members('promises'),
    denied: members('denies'),
  };
}

function positionsOf(steps: readonly PaxosStep[]): number[] {
  const kinds: ReadonlySet<PaxosKind> = new Set(['position-asked', 'proposes', 'write-asked']);
  const positions = steps.flatMap(({ kind, position }) =>
    kinds.has(kind) && position !== undefined ? [position] : [],
  );
  return [...new Set(positions)].toSorted((a, b) => a - b);
}
