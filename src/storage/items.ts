import { PerijoveError } from '../errors/error.js';
import { noItems, type HostItems } from '../hosts/items.js';
import type { ClusterSpec, HostSpec } from '../spec/cluster.js';

/**
 * What a host needs so that nodes on it find the notebooks. A path is made where it is missing and keeps its
 * mode where it is there: it may be somebody's mount.
 *
 * @throws PerijoveError TIER_UNSUPPORTED
 */
export function storageItems({ storage }: Pick<ClusterSpec, 'storage'>, host: HostSpec): HostItems {
  if (storage.kind !== 'path') {
    throw new PerijoveError('TIER_UNSUPPORTED', 'this release cannot do storage.gluster yet', {
      remedy: 'Use storage.path.',
    });
  }
  if (!host.roles.includes('agent')) return noItems;
  return { ...noItems, directories: [{ path: storage.path }] };
}
