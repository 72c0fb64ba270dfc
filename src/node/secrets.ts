/** The secrets of nodes: copies of those that a node needs, in a directory of their own. */
import { nodeSecretNames } from '../cluster/secrets.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import type { ConditionItem } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import { quote } from '../ssh/shell.js';

const names = nodeSecretNames.join(' ');
/** Printed last. */
const same = 'compared';

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
      // A copy that was made for nothing does no harm.
      if (found.join() === same) return [];
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

/** Prints a line for each difference, `absent` where the directory is not there, and `same` last. */
function observeScript(host: HostSpec): string {
  const { secrets, nodeSecrets } = hostPaths(host);
  return `if [ ! -d ${quote(nodeSecrets)} ]; then
  echo absent
else
  [ "$(stat -c %a ${quote(nodeSecrets)})" = 700 ] || echo 'mode of the directory'
  for file in ${quote(nodeSecrets)}/* ${quote(nodeSecrets)}/.[!.]*; do
    [ -e "$file" ] || continue
    case ' ${names} ' in *" \${file##*/} "*) ;; *) echo "surplus \${file##*/}" ;; esac
  done
  sum() { sha256sum <"$1" 2>/dev/null || echo none; }
  for name in ${names}; do
    [ "$(stat -c %a ${quote(nodeSecrets)}/"$name" 2>/dev/null)" = 600 ] &&
      [ "$(sum ${quote(nodeSecrets)}/"$name")" = "$(sum ${quote(secrets)}/"$name")" ] || echo "differs $name"
  done
fi
echo ${same}`;
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
