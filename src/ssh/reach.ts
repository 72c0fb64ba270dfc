import { PerijoveError } from '../errors/error.js';
import { hostOf } from '../cluster/host-of.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import type { Endpoint, SshPool } from './connection.js';
import { dialledWithin } from '../net/deadline.js';
import { firstToAnswer } from './first-answer.js';

/** How a client reaches an address of the cluster. */
export interface Reach {
  /** Through the named host. */
  via(hostName: string, address: string, port: number): Promise<Endpoint>;
  /**
   * A host's own address: through that host. A node's address: through the host that last worked for it, then
   * through the first other host that connects.
   */
  any(address: string, port: number): Promise<Endpoint>;
}

/** No tunnel: address and port unchanged, for programs on the cluster's own network. */
export const directReach: Reach = {
  via: async (_hostName, address, port) => ({ host: address, port }),
  any: async (address, port) => ({ host: address, port }),
};

/** Time for one host to open a TCP connection. */
const dialDeadlineMs = 2_000;

/**
 * Through SSH tunnels. An endpoint is available at once, even if the cluster does not respond, and stays the
 * same for the life of the pool. The route is chosen for each TCP connection; if none works, the connection
 * is reset.
 */
export function sshReach(pool: SshPool, spec: Pick<ClusterSpec, 'hosts'>): Reach {
  const through = (host: HostSpec, address: string, port: number) =>
    dialledWithin(
      dialDeadlineMs,
      pool.get(host).then((connection) => connection.dial(address, port)),
      () =>
        new PerijoveError('SSH_TIMEOUT', `no connection to ${address}:${port} within ${dialDeadlineMs} ms`, {
          host: host.name,
        }),
    );
  const single = (host: HostSpec, address: string, port: number) =>
    pool.listen(`${identity([host])} ${address}:${port}`, () => through(host, address, port));

  return {
    via: async (hostName, address, port) => single(hostOf(spec, hostName), address, port),
    any: async (address, port) => {
      const owner = spec.hosts.find((host) => host.address === address);
      if (owner !== undefined) return single(owner, address, port);
      let last: HostSpec | undefined;
      return pool.listen(`${identity(spec.hosts)} ${address}:${port}`, async () => {
        const order = [...(last === undefined ? [] : [last]), ...spec.hosts.filter((host) => host !== last)];
        const { host, stream } = await firstToAnswer(order, (each) => through(each, address, port));
        last = host;
        return stream;
      });
    },
  };
}

function identity(hosts: readonly HostSpec[]): string {
  return JSON.stringify(hosts.map(({ name, ssh, jump }) => [name, ssh, jump]));
}
