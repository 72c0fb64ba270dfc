/** Why an etcd ended by itself: from its own last words. Pure. */

export interface StartFailure {
  /**
   * `data`: what the member has on its disk is damaged, or older than what it has promised; another start ends the
   * same way. `place`: something around it, such as a full disk. `other`: not known which.
   */
  readonly kind: 'data' | 'place' | 'other';
  /** Its own words. */
  readonly words: string;
}

/** Stands in the log at each start, by `perijove-node etcd`. */
const startMark = '"decision":"start-';

/** In front of each line by svlogd. */
const timestamp = /^\d{4}-\d\d-\d\d_[\d:.]+ /;

const place =
  /permission denied|operation not permitted|read-only file system|no space left|disk quota|input\/output error|too many open files|file already locked|address already in use|cannot assign requested address/i;
const data =
  /commit\b.*out of range \[|\bwal(pb)?: |crc mismatch|checksum|invalid database|version mismatch|corrupt|unexpected (EOF|fault address)|freelist|failed to (read|open|load|recover|find)\b.*\b(wal|snapshot|database|backend)/i;

/**
 * What ended the etcd that was started last, by the log of its service; undefined where it says of no failure, as
 * after a kill. Words that end a process count alone: etcd may complain of much, and go on.
 */
export function startFailure(log: string): StartFailure | undefined {
  const start = log.lastIndexOf(startMark);
  if (start === -1) return undefined;
  const lines = log
    .slice(start)
    .split('\n')
    .slice(1)
    .map((line) => line.replace(timestamp, ''));
  const last = lines.map(lastWords).find((words) => words !== undefined);
  if (last === undefined) return undefined;
  const words = last.length > 300 ? `${last.slice(0, 299)}…` : last;
  if (place.test(last)) return { kind: 'place', words };
  return { kind: data.test(last) ? 'data' : 'other', words };
}

/** etcd 3.4 marks them by a C, 3.5 by a level; the runtime of Go has words of its own. */
function lastWords(line: string): string | undefined {
  const critical = /^\S+ \S+ C \| (.*)$/.exec(line)?.[1] ?? /^panic: (.*)$/.exec(line)?.[1];
  if (critical !== undefined) return critical;
  if (line.startsWith('unexpected fault address') || line.startsWith('fatal error: ')) return line;
  if (!/^\{.*"level":"(?:fatal|panic)"/.test(line)) return undefined;
  try {
    const { msg, error } = JSON.parse(line) as { msg?: unknown; error?: unknown };
    return [msg, error].filter((part) => typeof part === 'string').join(': ');
  } catch {
    return line;
  }
}
