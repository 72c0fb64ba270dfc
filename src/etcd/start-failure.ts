/** Why an etcd process exited, according to its log. Pure. */

export interface StartFailure {
  /**
   * `data`: the member's data is damaged, or older than its promises; every start fails alike. `place`: a cause
   * outside the data, such as a full disk. `other`: unknown.
   */
  readonly kind: 'data' | 'place' | 'other';
  /** The message of etcd. */
  readonly words: string;
}

/** Logged by `perijove-node etcd` before each start. */
const startMark = '"decision":"start-';

/** svlogd's prefix of each line. */
const timestamp = /^\d{4}-\d\d-\d\d_[\d:.]+ /;

const place =
  /permission denied|operation not permitted|read-only file system|no space left|disk quota|input\/output error|too many open files|file already locked|address already in use|cannot assign requested address/i;
const data =
  /commit\b.*out of range \[|\bwal(pb)?: |crc mismatch|checksum|invalid database|version mismatch|corrupt|unexpected (EOF|fault address)|freelist|failed to (read|open|load|recover|find)\b.*\b(wal|snapshot|database|backend)/i;

/**
 * Why the last etcd process exited, from the log of its service; undefined if the log has no failure, as after a kill.
 * Only fatal messages count: etcd logs many errors and continues.
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

/** A fatal message: etcd marks it with `C` or a JSON level; the Go runtime has its own format. */
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
