/** The secrets of nodes: copies of those that a node needs, in a directory of their own. */
import { acceptedFiles, isAcceptedTwice, nodeSecretNames } from '../cluster/secrets.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import type { ConditionItem } from '../hosts/items.js';
import { notKnown, observedOn } from '../hosts/observation.js';
import { hostPaths } from '../hosts/paths.js';
import { quote } from '../ssh/shell.js';
import { startSecretNames } from './start-secrets.js';

const names = nodeSecretNames.join(' ');
/** Of a token that is being replaced: a host need not have them. */
const passing = nodeSecretNames
  .flatMap((name) => (isAcceptedTwice(name) ? acceptedFiles(name).slice(1) : []))
  .join(' ');
/** Printed last, once everything was compared. */
const end = 'compared';

/**
 * `etc/node-secrets` has exactly the secrets of nodes, as `etc/secrets` has them, for nobody but their owner. Nodes in
 * containers see it alone; a container from before, which sees all secrets, is replaced because its configuration differs.
 */
export function nodeSecretsCondition(spec: ClusterSpec, host: HostSpec): ConditionItem {
  const { nodeSecrets } = hostPaths(host);
  const replaces = '; its nodes are replaced, one at a time';
  const isDocker = spec.nodes.containerizer === 'docker';
  return {
    name: 'node-secrets',
    observe: observeScript(host),
    actions: (printed) => {
      const found = printed.split('\n').filter((line) => line !== '');
      if (found.pop() !== end) {
        observedOn(host.name, notKnown('the secrets of nodes were not compared with all secrets'));
      }
      if (found.length === 0) return [];
      const isReplaced =
        (isDocker && found.includes('absent')) ||
        startSecretNames.some((name) => found.includes(`other ${name}`));
      return [
        {
          plan: `copy the secrets that nodes need to ${nodeSecrets}${isReplaced ? replaces : ''}`,
          done: `copied the secrets that nodes need to ${nodeSecrets}`,
          script: copyScript(host),
        },
      ];
    },
  };
}

/** Prints a line for each difference, `absent` where the directory is not there, and `end` last unless a command fails. */
function observeScript(host: HostSpec): string {
  const { secrets, nodeSecrets } = hostPaths(host);
  return `all=${quote(secrets)} own=${quote(nodeSecrets)}
mode_of() { if [ -e "$1" ]; then stat -c %a "$1"; else echo none; fi; }
sum_of() { if [ -e "$1" ]; then sha256sum <"$1"; else echo none; fi; }
compare() {
  mode=$(mode_of "$own/$1") && mine=$(sum_of "$own/$1") && whole=$(sum_of "$all/$1") || return 1
  [ -n "$mode" ] && [ -n "$mine" ] && [ -n "$whole" ] || return 1
  if [ "$mine" != "$whole" ] && [ "$mine" != none ]; then echo "other $1"
  elif [ "$mode" != 600 ] || [ "$mine" = none ]; then echo "differs $1"; fi
}
if [ ! -d "$own" ]; then
  echo absent
else
  mode=$(mode_of "$own") && [ -n "$mode" ] || exit 1
  [ "$mode" = 700 ] || echo 'mode of the directory'
  for file in "$own"/* "$own"/.[!.]*; do
    [ -e "$file" ] || continue
    case ' ${names} ${passing} ' in *" \${file##*/} "*) ;; *) echo "surplus \${file##*/}" ;; esac
  done
  for name in ${names}; do compare "$name" || exit 1; done
  for name in ${passing}; do
    if [ -e "$all/$name" ] || [ -e "$own/$name" ]; then compare "$name" || exit 1; fi
  done
fi
echo ${end}`;
}

/** Each file is replaced at once: a node that starts meanwhile reads a whole one. */
function copyScript(host: HostSpec): string {
  const { secrets, nodeSecrets } = hostPaths(host);
  return `umask 077
mkdir -p ${quote(nodeSecrets)} && chmod 700 ${quote(nodeSecrets)} && cd ${quote(nodeSecrets)} || exit 1
for file in * .[!.]*; do
  [ -e "$file" ] || continue
  case ' ${names} ${passing} ' in *" $file "*) ;; *) rm -f -- "$file" || exit 1 ;; esac
done
copy() { cp ${quote(secrets)}/"$1" ".$1.$$" && sync ".$1.$$" && mv -fT ".$1.$$" "$1"; }
# A token is accepted by the node in all of these files: those that come are there before others go.
for name in ${passing}; do [ ! -e ${quote(secrets)}/"$name" ] || copy "$name" || exit 1; done
for name in ${names}; do
  [ -s ${quote(secrets)}/"$name" ] || { echo "the secret $name is missing" >&2; exit 1; }
  copy "$name" || exit 1
done
for name in ${passing}; do [ -e ${quote(secrets)}/"$name" ] || rm -f -- "$name" || exit 1; done`;
}
