import { PerijoveError } from '../errors/error.js';
import { noItems, type HostItems } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import { networkFactsScript, networkProblems, parseNetworkFacts } from './clashes.js';
import {
  dockerNetworkActions,
  observeDockerNetworks,
  parseDockerNetworks,
  wantedDockerNetwork,
} from './docker-network.js';
import { overlayDifferences, parseOverlay } from './observe.js';
import { overlayOf } from './overlay.js';
import { deleteLinks, observeOverlayScript, overlayScript, ownedFunction } from './overlay-script.js';

/** The service that creates the links, once after each boot. */
export const networkService = 'network';

/**
 * What a host needs so that nodes get their addresses. Nothing on a flat network: hosts and nodes reach each
 * other directly, and preflight has checked that the host can bind the addresses of its process nodes. In a
 * VXLAN every host takes part, since proxies and workers reach nodes through it; hosts with nodes also get a
 * Docker network on it. An existing Docker network is only checked.
 */
export function networkItems(spec: ClusterSpec, host: HostSpec): HostItems {
  if (spec.network.kind === 'existing') return existingItems(spec, host);
  const overlay = overlayOf(spec, host);
  if (overlay === undefined) return noItems;
  const script = `${hostPaths(host).etc}/network.sh`;
  const dockerNetwork = wantedDockerNetwork(spec, host);
  return {
    ...noItems,
    packages: ['iproute2'],
    files: [{ path: script, mode: 0o755, source: { kind: 'text', text: overlayScript(overlay) } }],
    services: [
      {
        name: networkService,
        description: `VXLAN of ${spec.name}`,
        exec: ['/bin/sh', script],
        env: {},
        restartOn: [script],
        once: { before: ['docker.service'] },
        effect: {
          observe: observeOverlayScript(overlay),
          differences: (printed) => overlayDifferences(overlay, parseOverlay(printed)),
          remove: `PATH="$PATH:/usr/sbin:/sbin"\n${ownedFunction(overlay.alias)}\n${deleteLinks}`,
        },
      },
    ],
    ...(dockerNetwork === undefined
      ? {}
      : {
          conditions: [
            {
              name: `docker-network`,
              observe: observeDockerNetworks,
              actions: (printed) =>
                dockerNetworkActions(dockerNetwork, parseDockerNetworks(printed), {
                  cluster: spec.name,
                  host: host.name,
                }),
            },
          ],
        }),
  };
}

function existingItems(spec: ClusterSpec, host: HostSpec): HostItems {
  if (!host.roles.includes('agent')) return noItems;
  return {
    ...noItems,
    conditions: [
      {
        name: 'docker-network',
        observe: networkFactsScript(host),
        actions: (printed) => {
          const [problem] = networkProblems(spec, host, parseNetworkFacts(printed));
          if (problem === undefined) return [];
          const { code, message, remedy } = problem;
          throw new PerijoveError(code, message, { host: host.name, remedy });
        },
      },
    ],
  };
}
