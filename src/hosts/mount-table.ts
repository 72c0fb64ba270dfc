/** Shell that reads the mount table of a host. */
import { quote } from '../ssh/shell.js';

/**
 * Shell function: `mounted` sets `type` and `source` to those of the file system at `$at`, both empty if
 * nothing is mounted there. Fails if the mount table cannot be read or is truncated.
 */
export function mountedFunction(mount: string): string {
  return `at=${quote(mount)}
mounted() {
  type='' source=''
  table=$(cat /proc/self/mountinfo) || return 1
  root=''
  while read -r _ _ _ _ point rest; do
    # After the separator are type, source and options: proc_pid_mountinfo(5).
    case $rest in *' - '*' '*' '*) ;; *) return 1 ;; esac
    [ "$point" != / ] || root=there
    if [ "$point" = "$at" ]; then
      rest=\${rest##* - }
      type=\${rest%% *} rest=\${rest#* }
      source=\${rest%% *}
    fi
  done <<TABLE
$table
TABLE
  [ -n "$root" ] || { type='' source=''; return 1; }
}`;
}

/**
 * Shell function: `mounted_below` stores the mount points below a directory in `mounted`, newest first. Uses
 * shell builtins only, and fails if /proc reports nothing: what stays mounted would be emptied.
 */
export function mountedBelowFunction(dir: string): string {
  // Escaped as in proc(5).
  const escaped = `${dir}/`.replaceAll(
    /[\\ \t\n]/g,
    (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
  return `mounted_below() {
  mounted='' any=''
  while read -r _ _ _ _ point _; do
    any=yes
    case $point in ${quote(escaped)}*) mounted=${quote(dir)}/"\${point#${quote(escaped)}}
$mounted" ;; esac
  done < /proc/self/mountinfo && [ -n "$any" ] || { echo 'cannot read /proc/self/mountinfo' >&2; return 1; }
}`;
}
