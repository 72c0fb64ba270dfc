/** Shell that prints what directories offer, whether or not they exist yet, as `name value` lines for `parseFacts`. */
import { quote } from '../ssh/shell.js';

export interface DirectoriesWanted {
  /** The base directory, in which programs run. */
  readonly dir: string;
  /** Directories to check for write access, or whether they can be created. */
  readonly writable: readonly string[];
  /** Directories to check for a file system other than the root file system. */
  readonly apart: readonly string[];
}

/** Separates the parts of a line: paths may contain spaces. */
export const separator = '\t';

/** Requires the shell function `say NAME VALUE`, which prints a line unless the value is empty. */
export function directoriesScript({ dir, writable, apart }: DirectoriesWanted): string {
  const words = (values: readonly string[]) => values.map(quote).join(' ');
  return `
existing() {
  found=$1
  until [ -e "$found" ]; do found=$(dirname "$found"); done
  printf '%s' "$found"
}
# A link to nothing does not exist, and nothing can be created below it or in its place.
dangling() {
  part=$1
  until [ -e "$part" ] || [ "$part" = / ]; do
    if [ -L "$part" ]; then say dangling "$1${separator}$part${separator}$(readlink "$part")"; return; fi
    part=$(dirname "$part")
  done
}
for dir in ${words(writable)}; do
  dangling "$dir"
  found=$(existing "$dir")
  if [ -d "$found" ] && [ -w "$found" ]; then say writable "$dir"; fi
done
for dir in ${words(apart)}; do
  [ "$(stat -c %d "$(existing "$dir")")" = "$(stat -c %d /)" ] || say apart "$dir"
done
base=$(existing ${quote(dir)})
say free-kib "$(df -Pk "$base" | awk 'NR == 2 { print $4 }')"
# All and free ones; a file system that makes them as needed reports 0 of 0.
say inodes "$(stat -f -c '%c %d' "$base")"
# The mount table escapes spaces and backslashes: proc_pid_mountinfo(5). The deepest mount counts, the last one at a place.
real=$(readlink -f "$base" | sed 's/\\\\/\\\\134/g; s/ /\\\\040/g; s/\\t/\\\\011/g')
mounted=$(real=$real awk '
  { point = $5 == "/" ? "" : $5 }
  index(ENVIRON["real"] "/", point "/") == 1 && length(point) >= deepest { deepest = length(point); options = $6; at = $5 }
  END { print "," options ",", at }' /proc/self/mountinfo)
case \${real:+$mounted} in *,noexec,*) say noexec "\${mounted#* }" ;; esac`.trim();
}
