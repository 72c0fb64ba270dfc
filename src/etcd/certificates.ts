/** What the certificates of a cluster's etcd are for. */
import type { CertifiedNames } from '../cluster/authority.js';
import { nodeAddress, nodeNames, type ClusterSpec } from '../cluster/spec.js';

/** By which clients know a member, wherever a tunnel to it begins. */
export const memberName = 'etcd';

/**
 * What members serve at, and where their connections come from: a network may give those of a node the address of its host.
 * All members have one certificate, since all have the same secrets anyway.
 */
export function memberNames(spec: ClusterSpec): CertifiedNames {
  const ofNodes = nodeNames(spec).map((_, index) => nodeAddress(spec, index));
  const ofHosts = spec.hosts.map(({ address }) => address);
  return {
    names: [memberName, 'localhost'],
    addresses: [...new Set([...ofNodes, ...ofHosts, '127.0.0.1'])],
  };
}
