/** Whether a host's SSH server forwards to what a worker reaches through it. */
import { nodeAddress, proxyApiAddress, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { errorCodes } from '../errors/codes.js';
import { PerijoveError } from '../errors/error.js';
import type { Problem } from '../hosts/problem.js';
import { dialledWithin } from '../net/deadline.js';
import type { HostConnection } from '../ssh/connection.js';

/** sshd refuses what is prohibited at once. An address that does not answer may come up later. */
const dialMs = 2_000;

interface Place {
  readonly address: string;
  readonly port: number;
}

/**
 * Tries the places at which a deployment will wait for its services. Nothing need listen there yet: only what
 * sshd prohibits is a problem.
 */
export async function forwardingProblems(
  connection: HostConnection,
  spec: ClusterSpec,
): Promise<readonly Problem[]> {
  const { name } = connection.host;
  const places = forwardedPlaces(spec, connection.host);
  const prohibited = await Promise.all(places.map((place) => isProhibited(connection, place)));
  const refused = places.filter((_, index) => prohibited[index]);
  if (refused.length === 0) return [];
  const to =
    refused.length === places.length
      ? ''
      : ` to ${refused.map(({ address, port }) => `${address}:${port}`).join(', ')}`;
  return [
    {
      code: 'TUNNEL_PROHIBITED',
      host: name,
      message: `${name}: forwarding is administratively prohibited${to}`,
      remedy: errorCodes.TUNNEL_PROHIBITED.remedy,
    },
  ];
}

/** The services on the host, and those of the first node, which any host may have to reach. */
function forwardedPlaces(spec: ClusterSpec, host: HostSpec): Place[] {
  const { address, ports, roles } = host;
  const node = nodeAddress(spec, 0);
  return [
    ...(roles.includes('zookeeper') ? [{ address, port: ports.zookeeper }] : []),
    ...(roles.includes('master') ? [{ address, port: ports.master }] : []),
    ...(roles.includes('agent') ? [{ address, port: ports.agent }] : []),
    ...(roles.includes('proxy')
      ? [
          { address, port: ports.proxy },
          { address: proxyApiAddress(host), port: ports.proxyApi },
        ]
      : []),
    ...[spec.etcd.clientPort, spec.nodes.controlPort, spec.jupyter.port].map((port) => ({
      address: node,
      port,
    })),
  ];
}

async function isProhibited(connection: HostConnection, { address, port }: Place): Promise<boolean> {
  const tooLong = () => new Error(`no answer from ${address}:${port} within ${dialMs} ms`);
  try {
    (await dialledWithin(dialMs, connection.dial(address, port), tooLong)).destroy();
    return false;
  } catch (error) {
    return error instanceof PerijoveError && error.code === 'TUNNEL_PROHIBITED';
  }
}
