/** Which user runs what in a node, and the script by which root's services become that user. Pure. */
import { etcdUid } from '../cluster/spec.js';
import { quote } from '../ssh/shell.js';

/** A user that a service runs as. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** Its name and home directory in the environment; absent for services that need neither. */
  readonly account?: { readonly name: string; readonly home: string };
}

export const etcdUser = { uid: etcdUid, gid: etcdUid } as const;

/** The name of `nodes.user` in nodes, as in the images of Jupyter. */
export const userName = 'jovyan';

/**
 * What processes see of the machine that is not theirs: instead of a directory that the user may not pass, one that has
 * only the kept ones below it. The machine's own directories stay as they are.
 */
export interface View {
  /** Directories that the user may not pass; none is below another one. */
  readonly hidden: readonly string[];
  /** Directories below them that the user needs. */
  readonly kept: readonly string[];
  /** Shown as /etc/passwd. */
  readonly accounts?: string;
}

/** A shell has single-digit file descriptors alone. */
const firstDescriptor = 3;
export const mostKept = 7;

/**
 * `as-… COMMAND…`, run by root: becomes the identity for good, without capabilities, and without a program that gives any
 * (setuid and file capabilities). With a view, in a mount namespace of its own, which ends with its last process.
 */
export function asScript({ uid, gid, account }: Identity, view?: View): string {
  const names =
    account === undefined
      ? ''
      : `HOME=${quote(account.home)} USER=${account.name} LOGNAME=${account.name}\nexport HOME USER LOGNAME\n`;
  const ids = `--reuid=${uid} --regid=${gid} --clear-groups`;
  const nothing = '--inh-caps=-all --ambient-caps=-all --bounding-set=-all --no-new-privs';
  return `#!/bin/sh
${view === undefined ? '' : enter(view)}${names}exec setpriv ${ids} ${nothing} -- "$@"
`;
}

/** Directories that are kept are held open while what is above them is hidden: mount(8) finds them there. */
function enter({ hidden, kept, accounts }: View): string {
  if (kept.length > mostKept) throw new TypeError('too many directories for the descriptors of a shell');
  const held = kept.map((directory, index) => ({ directory, descriptor: firstDescriptor + index }));
  const lines = [
    ...(accounts === undefined ? [] : [`mount --bind ${quote(accounts)} /etc/passwd`]),
    ...held.map(({ directory, descriptor }) => `exec ${descriptor}<${quote(directory)}`),
    ...hidden.map((directory) => `mount -t tmpfs -o mode=0755,size=64k none ${quote(directory)}`),
    ...held.flatMap(({ directory, descriptor }) => [
      `mkdir -p ${quote(directory)}`,
      `mount --no-canonicalize --rbind /proc/self/fd/${descriptor} ${quote(directory)}`,
      `exec ${descriptor}<&-`,
    ]),
    ...hidden.map((directory) => `mount -o remount,ro ${quote(directory)}`),
    // The same directory as before, but below what is visible now.
    'cd "$PWD" 2>/dev/null || cd /',
  ];
  return `if [ "\${1-}" != --inside ]; then exec unshare --mount --propagation slave -- "$0" --inside "$@"; fi
shift
set -e
umask 022
${lines.join('\n')}
set +e
`;
}
