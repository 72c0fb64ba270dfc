import { PerijoveError, messageOf } from '../errors/error.js';
import { bridgeAddresses } from '../cluster/bridges.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import type { HostConnection } from '../ssh/connection.js';
import { neighbours } from '../network/neighbours.js';
import type { ActivityDeps } from './deps.js';
import { until } from './poll.js';

export interface NetworkInput {
  readonly spec: ClusterSpec;
}

const dialMs = 3_000;

export function createNetworkActivities({ pool }: Pick<ActivityDeps, 'pool'>) {
  return {
    /**
     * Resolves when hosts reach each other through the nodes' VXLAN.
     *
     * @throws PerijoveError NETWORK_NOT_WHOLE after half a minute
     */
    awaitNetwork: async ({ spec }: NetworkInput): Promise<void> => {
      const addresses = bridgeAddresses(spec);
      await until(
        async () => {
          const found = await Promise.all(
            neighbours(spec.hosts).map(async ([from, to]) => {
              const address = addresses.get(to.name) ?? to.address;
              const reason = await unreachable(await pool.get(from), address, to);
              return reason === undefined
                ? []
                : [`${from.name} cannot reach ${to.name} at ${address}: ${reason}`];
            }),
          );
          const missing = found.flat();
          return missing.length === 0
            ? { done: undefined }
            : { not: new PerijoveError('NETWORK_NOT_WHOLE', missing.join('; ')) };
        },
        { deadlineMs: 30_000 },
      );
    },
  };
}

/** Why a host does not reach an address: whether its sshd accepts or refuses, somebody answered. */
async function unreachable(
  connection: HostConnection,
  address: string,
  { ssh }: HostSpec,
): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no response within ${dialMs / 1000} s`), dialMs);
  });
  const dialled = connection.dial(address, ssh.port).then(
    (stream) => {
      stream.destroy();
      return undefined;
    },
    (error: unknown) => (/refused/i.test(messageOf(error)) ? undefined : messageOf(error)),
  );
  try {
    return await Promise.race([dialled, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
