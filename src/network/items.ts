import { PerijoveError } from '../errors/error.js';
import { noItems, type HostItems } from '../hosts/items.js';
import type { ClusterSpec } from '../spec/cluster.js';

/**
 * What a host needs so that nodes have their addresses. On a flat network nothing: hosts and nodes reach each
 * other as they are, and preflight has seen that the host can bind the addresses of its process nodes.
 *
 * @throws PerijoveError TIER_UNSUPPORTED
 */
export function networkItems({ network }: Pick<ClusterSpec, 'network'>): HostItems {
  if (network.kind === 'flat') return noItems;
  throw new PerijoveError('TIER_UNSUPPORTED', `this release cannot do network.${network.kind} yet`, {
    remedy: 'Use a flat network.',
  });
}
