import { PerijoveError } from '../errors/error.js';
import type { Change } from '../hosts/items.js';
import { keepWayIn } from '../hosts/way-in.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { formVolume, removeVolume } from '../storage/volume.js';
import type { ActivityDeps } from './deps.js';
import { until } from './poll.js';

export interface StorageInput {
  readonly spec: ClusterSpec;
}

export function createStorageActivities({ pool }: Pick<ActivityDeps, 'pool'>) {
  return {
    /**
     * Resolves to the changes when the GlusterFS volume of the spec exists, is started and matches the spec.
     *
     * @throws PerijoveError STORAGE_*, WAY_IN_LOST, SSH_*, COMMAND_FAILED
     */
    ensureVolume: async ({ spec }: StorageInput): Promise<readonly Change[]> => {
      const { storage } = spec;
      if (storage.kind !== 'gluster') return [];
      const changes: Change[] = [];
      return until(async () => {
        const formed = await formVolume(pool, spec, storage);
        changes.push(...formed.changes);
        await keepWaysIn(pool, spec, formed.changes);
        return formed.waits === undefined
          ? { done: changes }
          : { not: new PerijoveError('STORAGE_FAILED', formed.waits) };
      });
    },

    /**
     * Deletes the volume of the cluster and its remains. Repeated, it finds nothing and returns nothing.
     *
     * @throws PerijoveError STORAGE_FAILED, SSH_*, COMMAND_FAILED
     */
    deleteVolume: async ({ spec }: StorageInput): Promise<readonly Change[]> =>
      spec.storage.kind === 'gluster' ? removeVolume(pool, spec, spec.storage) : [],
  };
}

/** A volume is not rolled back: it has users' notebooks. */
async function keepWaysIn(
  pool: ActivityDeps['pool'],
  spec: ClusterSpec,
  changes: readonly Change[],
): Promise<void> {
  const hosts = spec.hosts.filter(({ name }) => changes.some(({ host }) => host === name));
  await Promise.all(
    hosts.map(async (host) =>
      keepWayIn(await pool.get(host), { done: changes.filter((change) => change.host === host.name) }),
    ),
  );
}
