/** Identifies a process across PID reuse, in POSIX shell. */
import { PerijoveError } from '../errors/error.js';
import { kernelMark } from '../node/layout.js';
import type { HostConnection } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';

/** Identifies a process: a reused PID has another start time. */
export interface ProcessMark {
  readonly pid: number;
  /** Clock ticks since boot, field 22 of `/proc/<pid>/stat` (proc(5)). */
  readonly start: number;
}

/**
 * `stat_of PID`: sets `state` and `start` of a process, and fails when there is none. `same PID START`:
 * whether this exact process is alive. Both exit the script when this is unreadable: an unseen process need
 * not be gone. Uses only shell builtins: another program may fail. The name in `stat` may contain blanks,
 * brackets and line feeds.
 */
export const sameScript = `
stat_of() {
  case $1 in '' | *[!0-9]*) echo "not a process: $1" >&2; exit 3 ;; esac
  stat=
  { while IFS= read -r line; do stat="$stat $line"; done <"/proc/$1/stat"; } 2>/dev/null || :
  if [ -z "$stat" ]; then
    [ -e "/proc/$$" ] && [ ! -e "/proc/$1" ] && return 1
    echo "/proc/$1/stat cannot be read" >&2
    exit 3
  fi
  set -- \${stat##*) }
  state=$1 start=\${20}
}
same() { stat_of "$1" && [ "$start" = "$2" ]; }`;

/** @throws PerijoveError SSH_*; COMMAND_FAILED when undetermined */
export async function isSame(connection: HostConnection, { pid, start }: ProcessMark): Promise<boolean> {
  const script = `${sameScript}\nif same ${pid} ${start}; then echo yes; else echo no; fi`;
  const answer = (await connection.run(script)).trim();
  if (answer === 'yes' || answer === 'no') return answer === 'yes';
  const host = connection.host.name;
  throw new PerijoveError('COMMAND_FAILED', `${host} did not report whether process ${pid} is alive`, {
    host,
  });
}

/** Prints `KERNEL PID` for each process on the host that belongs to one of these kernels of nodes, by its environment. */
export function processesOfKernels(kernels: readonly string[]): string {
  const each = kernels.map((kernel) => {
    const mark = quote(`${kernelMark}=${kernel}`);
    return `grep -lsazxF -e ${mark} /proc/[0-9]*/environ | sed -n 's|^/proc/\\([0-9]*\\)/.*|${kernel} \\1|p'`;
  });
  return `{ ${each.join('\n')}\n}`;
}
