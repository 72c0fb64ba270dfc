/**
 * A Mesos master whose replica of the replicated log is broken ends at each start, for ever. What its log says of
 * that, and whether its replica may be set aside so that it begins with an empty one: pure.
 *
 * The texts are those of Mesos 1.x (`src/log/replica.cpp`, `src/log/leveldb.cpp`, `src/master/registrar.cpp`) and
 * of leveldb's `Status`.
 */

import { timed } from '../../hosts/kept-lines.js';

/** What leveldb, or Mesos itself, says of content that cannot be what was written. */
const corruption = [
  /\bCorruption: /,
  /\bFailed to deserialize record\b/,
  /\bBad record\b/,
  // A file of the database is gone; that of LOCK means that there is no directory at all.
  /\bIO error: \S*\/(?:CURRENT|MANIFEST-\d+|\d+\.(?:log|ldb|sst)): No such file or directory/,
];

/** Lines in which a master says of its own replica that it cannot be read. */
const complaints = [
  // `Failed to recover the log: …`; before 1.5 also `CHECK_SOME(state): …Failed to recover the log`.
  /Failed to recover the log/,
  // The same found out later. Without a quorum this line ends with `Failed to perform fetch within 1mins`.
  /Recovery failed: Failed to recover registrar: /,
];

/** glog's fatal check, in the code that reads the replica: what was read contradicts itself. */
const failedCheck = /^F\d{4} \S+ +\d+ (?:replica|leveldb)\.cpp:\d+\] (?:Check failed|CHECK_\w+\()/;

/** Whether a line of a master's log, without the time of whoever keeps it, says that its replica is broken. */
export function saysBroken(line: string): boolean {
  if (failedCheck.test(line)) return true;
  return complaints.some((each) => each.test(line)) && corruption.some((each) => each.test(line));
}

/** Time and thread, which differ from start to start. */
const glogHead = /^[IWEF]\d{4} \S+ +\d+ /;

/** Signs that are older have to do with another life of the master. */
const rememberedMs = 10 * 60_000;
/** A supervisor pauses for less than this, so a master that still ends at each start has said so since. */
const recentMs = 90_000;
/** One could be an accident of a single start. */
const leastSigns = 2;

/**
 * The line in which a master has said lately, at two starts or more, that its replica is broken; undefined when it
 * has not. Reads what svlogd and journald keep: each line begins with its time.
 *
 * @param nowMs by the clock of the host
 */
export function brokenLogSign(log: string, nowMs: number): string | undefined {
  const signs = log.split('\n').flatMap((line) => {
    const { at, text } = timed(line);
    return saysBroken(text) && nowMs - at <= rememberedMs ? [{ at, text }] : [];
  });
  const last = signs.at(-1);
  if (!last || signs.length < leastSigns || nowMs - last.at > recentMs) return undefined;
  return last.text.replace(glogHead, '');
}

// --- whether it may be set aside --------------------------------------------------------------------------

/** What was done before to a master, as its host has it. */
export interface SetAside {
  /** When it was begun, by the clock of the host: seconds since the epoch. */
  readonly at: number;
  /** The line of the log that was the reason. */
  readonly why: string;
  /** How long it took, in seconds; absent while it is under way, or when it was interrupted. */
  readonly tookSeconds?: number;
  /** It was interrupted, and the master was started as it was. */
  readonly left?: true;
}

export interface SilentMaster {
  readonly host: string;
  /** By the clock of the host: seconds since the epoch. */
  readonly clock: number;
  /** Its supervisor was told to keep it down. */
  readonly stopped: boolean;
  /** `brokenLogSign` of its log. */
  readonly sign?: string;
  readonly setAside?: SetAside;
}

/** The other masters. */
export interface OtherMasters {
  /** Their hosts, of those that follow one leader that has read its registry, with a replica of their own. */
  readonly healthy: readonly string[];
  readonly quorum: number;
}

export type Remedy =
  /** There is nothing to say of its replica. */
  | { readonly kind: 'none' }
  /** It is broken and left alone. */
  | { readonly kind: 'leave'; readonly why: string }
  /** What was begun must not go on, or was forgotten: the master is only started again. */
  | { readonly kind: 'start' }
  /** It is to be set aside; also to go on where that was interrupted. */
  | { readonly kind: 'set-aside'; readonly why: string };

const onceSeconds = 3_600;
/** What was interrupted for longer is judged anew, by what the log says now. */
const underWaySeconds = 600;

/**
 * What to do about a master that does not answer. Its replica is set aside only when the log says that it is broken,
 * only while the others are a quorum without it (they have all that it had), and at most once an hour.
 *
 * @param paused why nothing is to be repaired now
 */
export function decideRemedy(
  { host, clock, stopped, sign, setAside }: SilentMaster,
  { healthy, quorum }: OtherMasters,
  paused?: string,
): Remedy {
  const objection =
    healthy.length < quorum
      ? `too few other masters are healthy: ${healthy.length} of the required ${quorum}`
      : paused;
  const ago = setAside && clock - setAside.at;
  const within = (seconds: number) => ago !== undefined && ago >= 0 && ago < seconds;
  if (setAside && setAside.tookSeconds === undefined && !setAside.left) {
    if (objection === undefined && within(underWaySeconds)) return { kind: 'set-aside', why: setAside.why };
    if (stopped) return { kind: 'start' };
  }
  if (sign === undefined) return { kind: 'none' };
  const leave = (why: string): Remedy => ({
    kind: 'leave',
    why: `the replicated log of the Mesos master on ${host} is broken ("${sign}") and not repaired: ${why}`,
  });
  if (objection !== undefined) return leave(objection);
  if (within(onceSeconds)) {
    const when = new Date((setAside?.at ?? 0) * 1_000).toISOString();
    return leave(`it was set aside at ${when}, and this is done at most once an hour`);
  }
  return { kind: 'set-aside', why: sign };
}

/** What was done, for the record. */
export function remedyText(host: string, { why }: Pick<SetAside, 'why'>, place: string): string {
  return `the replicated log of the Mesos master on ${host} was broken ("${why}"): its work_dir and log_dir were set aside to ${place}, and it was started with an empty replica`;
}
