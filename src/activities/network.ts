import { PerijoveError, messageOf } from '../errors/error.js';
import { bridgeAddresses } from '../cluster/bridges.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import type { HostConnection } from '../ssh/connection.js';
import { dialledWithin } from '../net/deadline.js';
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

/** Why a host cannot reach an address. Whether the sshd there accepts or refuses, it was reached. */
async function unreachable(
  connection: HostConnection,
  address: string,
  { ssh }: HostSpec,
): Promise<string | undefined> {
  const tooLong = () => new Error(`no answer within ${dialMs / 1000} s`);
  try {
    (await dialledWithin(dialMs, connection.dial(address, ssh.port), tooLong)).destroy();
    return undefined;
  } catch (error) {
    const message = messageOf(error);
    return /refused/i.test(message) ? undefined : message;
  }
}
