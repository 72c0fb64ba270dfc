/**
 * A Mesos master with a broken replica of the replicated log exits at every start. What its log says about
 * that, and whether its replica may be set aside so that it begins with an empty one: pure.
 *
 * The texts are those of Mesos 1.x (`src/log/replica.cpp`, `src/log/leveldb.cpp`, `src/master/registrar.cpp`)
 * and of leveldb's `Status`.
 */

import { timed } from '../../hosts/kept-lines.js';

/** How leveldb, or Mesos itself, reports corrupt content. */
const corruption = [
  /\bCorruption: /,
  /\bFailed to deserialize record\b/,
  /\bBad record\b/,
  // A file of the database is missing; a missing LOCK means that there is no directory at all.
  /\bIO error: \S*\/(?:CURRENT|MANIFEST-\d+|\d+\.(?:log|ldb|sst)): No such file or directory/,
];

/** Lines in which a master reports that its own replica cannot be read. */
const complaints = [
  // `Failed to recover the log: …`; before 1.5 also `CHECK_SOME(state): …Failed to recover the log`.
  /Failed to recover the log/,
  // The same, found later. Without a quorum this line ends with `Failed to perform fetch within 1mins`.
  /Recovery failed: Failed to recover registrar: /,
];

/** glog's fatal check in the code that reads the replica: the content is inconsistent. */
const failedCheck = /^F\d{4} \S+ +\d+ (?:replica|leveldb)\.cpp:\d+\] (?:Check failed|CHECK_\w+\()/;

/** Whether a line of a master's log, without the timestamp of the log's writer, reports a broken replica. */
export function saysBroken(line: string): boolean {
  if (failedCheck.test(line)) return true;
  return complaints.some((each) => each.test(line)) && corruption.some((each) => each.test(line));
}

/** Time and thread, which differ at each start. */
const glogHead = /^[IWEF]\d{4} \S+ +\d+ /;

/** Older signs are from another life of the master. */
const rememberedMs = 10 * 60_000;
/** A supervisor pauses for less than this, so a master that still exits at every start has logged it. */
const recentMs = 90_000;
/** A single one could be an accident of one start. */
const leastSigns = 2;

/**
 * The line in which a master recently reported, at two starts or more, that its replica is broken; undefined
 * when it has not. Reads what svlogd and journald keep: each line begins with its time.
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

/** What was done to a master before, as recorded on its host. */
export interface SetAside {
  /** When it was begun, by the clock of the host: seconds since the epoch. */
  readonly at: number;
  /** The log line that was the reason. */
  readonly why: string;
  /** How long it took, in seconds; absent while it is running, or when it was interrupted. */
  readonly tookSeconds?: number;
  /** It was interrupted, and the master was started unchanged. */
  readonly left?: true;
}

export interface SilentMaster {
  readonly host: string;
  /** By the clock of the host: seconds since the epoch. */
  readonly clock: number;
  /** Its supervisor was ordered to keep it down. */
  readonly stopped: boolean;
  /** `brokenLogSign` of its log. */
  readonly sign?: string;
  readonly setAside?: SetAside;
}

/** The other masters. */
export interface OtherMasters {
  /** Hosts of those that follow one leader that has read its registry, and whose own replica takes part. */
  readonly healthy: readonly string[];
  readonly quorum: number;
}

export type Remedy =
  /** Nothing is wrong with its replica. */
  | { readonly kind: 'none' }
  /** It is broken and is left as it is. */
  | { readonly kind: 'leave'; readonly why: string }
  /** An interrupted repair must not continue: the master is only started again. */
  | { readonly kind: 'start' }
  /** Set the replica aside, or resume doing so. */
  | { readonly kind: 'set-aside'; readonly why: string };

const onceSeconds = 3_600;
/** A repair that was interrupted for longer is decided anew, by what the log says now. */
const underWaySeconds = 600;

/**
 * What to do about a master that does not respond. Its replica is set aside only when the log reports it as
 * broken, only while the others are a quorum without it (they have all that it had), and at most hourly.
 *
 * @param paused why nothing may be repaired now
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

/** A record of what was done. */
export function remedyText(host: string, { why }: Pick<SetAside, 'why'>, place: string): string {
  return `the replicated log of the Mesos master on ${host} was broken ("${why}"): its work_dir and log_dir were set aside to ${place}, and it was started with an empty replica`;
}
