import { PerijoveError } from '../errors/error.js';
import type { Change } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import type { HostSpec } from '../cluster/spec.js';
import type { HostConnection } from '../ssh/connection.js';
import { orFail, quote } from '../ssh/shell.js';
import { clusterLabel } from './docker-network.js';
import { networkService } from './items.js';
import { aliasOf } from './overlay.js';
import { deleteLinks, ownedFunction } from './overlay-script.js';
import { initDriver, observeInit } from '../hosts/services.js';

const removeTimeoutMs = 60_000;
const exits = { inUse: 71, noDocker: 72 } as const;

/**
 * Removes the cluster's Docker network and links, identified by their marks, and the service that creates
 * them. Returns what was removed: nothing when repeated.
 *
 * @throws PerijoveError NETWORK_IN_USE, DAEMON_FAILED if a Docker that may have the network does not respond,
 *   SSH_*, COMMAND_FAILED
 */
export async function removeNetwork(connection: HostConnection, cluster: string): Promise<Change[]> {
  const { host } = connection;
  const driver = initDriver(host, cluster, await observeInit(connection));
  const result = await connection.exec(
    removeNetworkScript(host, cluster, driver.removeScript(networkService)),
    { timeoutMs: removeTimeoutMs },
  );
  const place = { host: host.name };
  switch (result.code) {
    case 0:
      return result.stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((what) => ({ host: host.name, what }));
    case exits.inUse:
      throw new PerijoveError(
        'NETWORK_IN_USE',
        `${host.name}: containers are connected to the network ${result.stderr.trim()}`,
        place,
      );
    case exits.noDocker:
      throw new PerijoveError(
        'DAEMON_FAILED',
        `${host.name}: Docker does not respond, so its network cannot be removed`,
        { ...place, remedy: 'Start Docker there, then run the command again.' },
      );
    default:
      throw new PerijoveError('COMMAND_FAILED', `${host.name}: ${result.stderr.trim()}`, place);
  }
}

/** Prints a line for each thing that it removes. A network or bridge in use stays. */
export function removeNetworkScript(
  host: Pick<HostSpec, 'dir'>,
  cluster: string,
  removeService: string,
): string {
  return `PATH="$PATH:/usr/sbin:/sbin"
${ownedFunction(aliasOf(cluster))}
script=${quote(`${hostPaths(host).etc}/network.sh`)}
if command -v docker >/dev/null; then
  # No Docker is without the network \`none\`: a list that lacks it is none. Read by the shell alone.
  newline='
'
  networks=$(timeout 10 docker network ls --format '{{.Name}} {{.Label "${clusterLabel}"}} end' 2>/dev/null) || networks=
  case $newline$networks in
  *"$newline"'none '*) whole=yes ;;
  *) whole= ;;
  esac
  if [ -n "$whole" ]; then
    own=
    IFS=$newline; set -f
    for line in $networks; do
      case $line in *${quote(` ${cluster} end`)}) own="$own \${line%% *}" ;; esac
    done
    unset IFS; set +f
    for name in $own; do
      users=$(timeout 10 docker network inspect --format '{{range .Containers}}{{.Name}} {{end}}end' "$name") || exit ${exits.noDocker}
      case $users in
      end) ;;
      *end) echo "$name: \${users% end}" >&2; exit ${exits.inUse} ;;
      *) exit ${exits.noDocker} ;;
      esac
      docker network rm "$name" >/dev/null || exit 1
      echo "removed the Docker network $name"
    done
  elif [ -e "$script" ]; then
    exit ${exits.noDocker}
  fi
fi
# Whatever Docker says, a bridge with a port that is not ours is in use.
for link in /sys/class/net/*; do
  owned "\${link##*/}" || continue
  for port in "$link"/brif/*; do
    [ -e "$port" ] || continue
    owned "\${port##*/}" || { echo "\${link##*/}: \${port##*/}" >&2; exit ${exits.inUse}; }
  done
done
${orFail(removeService)}
${deleteLinks}
rm -f "$script"`;
}
