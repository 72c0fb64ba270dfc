/** The secrets of nodes: copies of those that a node needs, in a directory of their own. */
import { nodeSecretNames } from '../cluster/secrets.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import type { ConditionItem } from '../hosts/items.js';
import { notKnown, observedOn } from '../hosts/observation.js';
import { hostPaths } from '../hosts/paths.js';
import { quote } from '../ssh/shell.js';

const names = nodeSecretNames.join(' ');
/** Printed last, once everything was compared. */
const end = 'compared';

/**
 * `etc/node-secrets` has exactly the secrets of nodes, as `etc/secrets` has them, for nobody but their owner. Nodes in
 * containers see it alone; a container from before, which sees all secrets, is replaced because its configuration differs.
 */
export function nodeSecretsCondition(spec: ClusterSpec, host: HostSpec): ConditionItem {
  const { nodeSecrets } = hostPaths(host);
  const replaces = spec.nodes.containerizer === 'docker' ? '; its nodes are replaced, one at a time' : '';
  return {
    name: 'node-secrets',
    observe: observeScript(host),
    actions: (printed) => {
      const found = printed.split('\n').filter((line) => line !== '');
      if (found.pop() !== end) {
        observedOn(host.name, notKnown('the secrets of nodes were not compared with all secrets'));
      }
      if (found.length === 0) return [];
      const isNew = found.includes('absent');
      return [
        {
          plan: `copy the secrets that nodes need to ${nodeSecrets}${isNew ? replaces : ''}`,
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
  [ "$mode" = 600 ] && [ "$mine" = "$whole" ] || echo "differs $1"
}
if [ ! -d "$own" ]; then
  echo absent
else
  mode=$(mode_of "$own") && [ -n "$mode" ] || exit 1
  [ "$mode" = 700 ] || echo 'mode of the directory'
  for file in "$own"/* "$own"/.[!.]*; do
    [ -e "$file" ] || continue
    case ' ${names} ' in *" \${file##*/} "*) ;; *) echo "surplus \${file##*/}" ;; esac
  done
  for name in ${names}; do compare "$name" || exit 1; done
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
  case ' ${names} ' in *" $file "*) ;; *) rm -f -- "$file" || exit 1 ;; esac
done
for name in ${names}; do
  [ -s ${quote(secrets)}/"$name" ] || { echo "the secret $name is missing" >&2; exit 1; }
  cp ${quote(secrets)}/"$name" ".$name.$$" && sync ".$name.$$" && mv -fT ".$name.$$" "$name" || exit 1
done`;
}
