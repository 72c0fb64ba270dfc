/** Quotes a value as one word of a POSIX shell. */
export function quote(value: string): string {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}

/**
 * Runs a script in a subshell, with its output on stderr, and exits with an error if it fails.
 * `( … ) || exit 1` would switch off a `set -e` inside it.
 */
export function orFail(script: string): string {
  return `(\n${script}\n) >&2; [ $? = 0 ] || exit 1`;
}

/** Printed as soon as a shell reads commands: the login, and sudo, let it start. */
const started = '\u001esh\u001e';
/** Marks the beginning of a script's own output, to exclude what a login shell prints. */
export const beginning = '\u001eperijove\u001e';

/**
 * Wraps a script for `sh -s`:
 * - in one compound command, so that a partially received script does not run;
 * - with an empty stdin, and a watcher on the real one: if the session ends before the script, its process
 *   group gets SIGTERM, and SIGKILL five seconds later. OpenSSH itself leaves the processes of a lost session
 *   running;
 * - with the directories of administration programs on PATH, and messages in English.
 *
 * `receive` is shell code that reads data from descriptor 3 before the script starts. Send the data only after
 * the beginning is marked: until then, the shell may read ahead.
 */
export function frame(script: string, receive = ':'): string {
  return `printf '\\036sh\\036'
{
printf '\\036perijove\\036'; printf '\\036perijove\\036' >&2
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"; LC_ALL=C; export PATH LC_ALL; umask 022
${receive}
(trap '' TERM HUP; cat <&3; kill -TERM 0; sleep 5; kill -KILL 0) >/dev/null 2>&1 &
perijove_watcher=$!
(
exec 3<&-
${script}
)
perijove_code=$?
exec 2>/dev/null
kill -KILL "$perijove_watcher"
exit "$perijove_code"
} 3<&0 </dev/null
`;
}

/** Whether a shell read commands at all. */
export function hasStarted(output: string): boolean {
  return output.includes(started);
}

/** The script's own output; undefined if the script did not start. */
export function afterBeginning(output: string): string | undefined {
  const at = output.indexOf(beginning);
  return at === -1 ? undefined : output.slice(at + beginning.length);
}
