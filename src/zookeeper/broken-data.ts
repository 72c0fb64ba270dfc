/**
 * A ZooKeeper server whose own data cannot be read exits at every start. What its log says about that: pure.
 *
 * The texts are those of ZooKeeper 3.5 to 3.9 (`QuorumPeer.loadDataBase`, `FileTxnSnapLog`, `FileTxnLog`).
 */
import { timed } from '../hosts/kept-lines.js';

/** The line before the reason: of a server in an ensemble, and of a standalone one. */
const fatal = /\bERROR\b.*- (?:Unable to load database on disk|Unexpected exception, exiting abnormally)/;

/** The reason, on one of the lines after that. A torn file at the end of the newest log is no reason: it is cut. */
const reasons = [
  /No snapshot found, but there are log entries/,
  /Transaction log: \S+ has invalid magic number/,
  /java\.io\.EOFException/,
  /CRC check failed/,
  /Unreasonable (?:length|buffer length)/,
  /The (?:current|accepted) epoch, \w+, is (?:older|less) than/,
  /(?:Epoch|epoch).*NumberFormatException|NumberFormatException/,
];
/** How many lines after `fatal` may name the reason, before the stack. */
const reasonWithin = 2;

/** Older lines may be of another life of the server. */
const recentMs = 90_000;
/** A single one could be an accident of one start. */
const leastSigns = 2;

/**
 * Why the server cannot start with its data, as it logged at two starts or more and lately; undefined when it has not.
 * Reads what svlogd and journald keep: each line begins with its time.
 *
 * @param nowMs by the clock of the host
 */
export function brokenDataSign(log: string, nowMs: number): string | undefined {
  const lines = log.split('\n').map(timed);
  const signs = lines.flatMap(({ at, text }, index) => {
    if (!fatal.test(text) || nowMs - at > recentMs) return [];
    const reason = lines
      .slice(index + 1, index + 1 + reasonWithin)
      .find((line) => reasons.some((each) => each.test(line.text)));
    return reason === undefined ? [] : [reason.text];
  });
  return signs.length < leastSigns
    ? undefined
    : signs.at(-1)?.replace(/^(?:Caused by: )?[\w.]+Exception: /, '');
}
