/** Shell that prints whether the user of the nodes can work on a host, as `name value` lines for `parseFacts`. */
import { quote } from '../ssh/shell.js';

export interface UserWanted {
  readonly uid: number;
  readonly gid: number;
  /** Nodes are process trees: root must show and hide directories for them. */
  readonly processes: boolean;
  readonly notebooks: string;
  /** Directory of the trees of nodes: one that exists was made by a node. */
  readonly trees: string;
  /** The file that has the user of the last deployment. */
  readonly last: string;
}

/** What `last` has for a user. */
export function userText({ uid, gid }: Pick<UserWanted, 'uid' | 'gid'>): string {
  return `${uid}:${gid}\n`;
}

/** A minute is the limit of the whole command. */
const scanSeconds = 40;

/** Bits of `CapEff` in proc_pid_status(5): root must mount, and see processes of other users. */
const capabilities = { SYS_ADMIN: 21, SYS_PTRACE: 19 } as const;

/** What keeps root of this machine from running process nodes as another user; prints nothing if nothing does. */
export const obstacleFunction = `obstacle() {
  for needed in setpriv unshare; do
    command -v $needed >/dev/null || { echo "$needed (package util-linux) is not installed"; return; }
  done
  has=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
${Object.entries(capabilities)
  .map(
    ([name, bit]) =>
      `  [ "$((0x\${has:-0} >> ${bit} & 1))" = 1 ] || { echo 'root lacks the capability ${name}'; return; }`,
  )
  .join('\n')}
  unshare --mount --propagation slave true 2>/dev/null || echo 'root may not make a mount namespace'
}`;

/**
 * Only for root: anybody else runs nodes as themselves. Requires the function `say`. Nodes that ran before as another
 * user, root in most cases, have left notebooks that this user cannot write: the first such one is printed, or that it is
 * not known whether there is one. A directory in which the user cannot make a notebook counts, whoever made it.
 */
export function userScript(wanted: UserWanted | undefined): string {
  if (wanted === undefined) return '';
  const { uid, gid, processes, notebooks, trees, last } = wanted;
  const others = `! \\( -uid ${uid} -o -type l -o -gid ${gid} -perm -020 -o -perm -002 \\) -print -quit`;
  return `
${obstacleFunction}
foreign() {
  at=${quote(notebooks)} trees=${quote(trees)}
  [ -e "$at/." ] || return 0
  any=$(ls -a "$at") && case $any in .*) ;; *) false ;; esac || { say foreign-unknown "$at cannot be listed"; return; }
  [ "$any" != ".
.." ] || return 0
  ran=''
  if [ -e "$trees" ]; then
    ran=$(ls -a "$trees") && case $ran in .*) ;; *) false ;; esac || { say foreign-unknown "$trees cannot be listed"; return; }
  fi
  depth='-maxdepth 0'
  case $ran in *node*) [ "$(cat ${quote(last)} 2>/dev/null)" = ${quote(userText(wanted).trim())} ] || depth='' ;; esac
  # It names the directory itself, too: without that, it has read nothing.
  first=$(timeout ${scanSeconds} find "$at/." $depth \\( -path "$at/." -printf 'read\\n' , ${others} \\))
  case $?:$first in
  0:read) ;;
  0:read*) shown=$(printf '%s' "\${first#read?}" | tr -c '[:print:]' '?'); say foreign "\${shown:-$at}" ;;
  *) say foreign-unknown "$at was not read within ${scanSeconds} s" ;;
  esac
}
if [ "$(id -u)" = 0 ]; then
  ${processes ? 'say user-obstacle "$(obstacle)"' : ':'}
  foreign
fi`;
}
