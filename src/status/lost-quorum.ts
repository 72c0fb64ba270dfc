import { majority } from '../cluster/spec.js';
import type { NodeStatus } from '../node/api.js';

/**
 * That etcd cannot return by itself, if the nodes know it: they wait without data, and the others are no majority.
 * Undefined while that is not known.
 */
export function lostQuorum(
  nodes: readonly { readonly node: string; readonly etcd: NodeStatus['etcd'] | undefined }[],
): string | undefined {
  const empty = nodes.filter(
    ({ etcd }) =>
      etcd?.state === 'waiting' && etcd.hasData === false && etcd.reason?.startsWith('wait:') === true,
  );
  if (nodes.length === 0 || nodes.length - empty.length >= majority(nodes.length)) return undefined;
  const names = empty.map(({ node }) => node).join(', ');
  return (
    `etcd lost its quorum: ${empty.length} of ${nodes.length} members have no data (${names}); ` +
    'run `perijove recover etcd` (ETCD_QUORUM_LOST)'
  );
}
