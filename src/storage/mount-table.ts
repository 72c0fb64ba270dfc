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
