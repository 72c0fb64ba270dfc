import { PerijoveError } from '../errors/error.js';
import type { Change } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import type { HostConnection } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { clusterLabel } from './docker-network.js';
import { networkService } from './items.js';
import { aliasOf } from './overlay.js';
import { deleteLinksScript } from './overlay-script.js';
import { initDriver, observeInit } from '../hosts/services.js';

const removeTimeoutMs = 60_000;
const exits = { inUse: 71, noDocker: 72 } as const;

/**
 * Takes the cluster's Docker network and links away, by their marks, and the service that makes them. Returns what
 * was there; repeated, nothing.
 *
 * @throws PerijoveError NETWORK_IN_USE, DAEMON_FAILED when a Docker that may have the network does not answer,
 *   SSH_*, COMMAND_FAILED
 */
export async function removeNetwork(connection: HostConnection, cluster: string): Promise<Change[]> {
  const { host } = connection;
  const driver = initDriver(host, cluster, await observeInit(connection));
  const result = await connection.exec(
    `
PATH="$PATH:/usr/sbin:/sbin"
if command -v docker >/dev/null; then
  if networks=$(timeout 10 docker network ls --filter ${quote(`label=${clusterLabel}=${cluster}`)} --format '{{.Name}}' 2>&1); then
    for name in $networks; do
      users=$(docker network inspect --format '{{range .Containers}}{{.Name}} {{end}}' "$name") || exit ${exits.noDocker}
      [ -z "$users" ] || { echo "$name: $users" >&2; exit ${exits.inUse}; }
      docker network rm "$name" >/dev/null || exit 1
      echo "removed the Docker network $name"
    done
  elif [ -e ${quote(`${hostPaths(host).etc}/network.sh`)} ]; then
    exit ${exits.noDocker}
  fi
fi
( ${driver.removeScript(networkService)}
) >&2 || exit 1
${deleteLinksScript(aliasOf(cluster))}
rm -f ${quote(`${hostPaths(host).etc}/network.sh`)}`.trim(),
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
        `${host.name}: containers are in the Docker network ${result.stderr.trim()}`,
        place,
      );
    case exits.noDocker:
      throw new PerijoveError(
        'DAEMON_FAILED',
        `${host.name}: docker does not answer, so its network cannot be removed`,
        { ...place, remedy: 'Start Docker there, then run it again.' },
      );
    default:
      throw new PerijoveError('COMMAND_FAILED', `${host.name}: ${result.stderr.trim()}`, place);
  }
}
