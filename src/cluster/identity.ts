/** The identity of a cluster, as its hosts and its workflows keep it. Pure. */
import type { ClusterSpec, HostSpec } from './spec.js';

/** To which cluster a host belongs. */
export interface ClusterMark {
  /** Name of the cluster. */
  readonly name: string;
  /** UUID, made at the first deployment. */
  readonly id: string;
}

/** What the workflows of a running cluster keep of its identity. */
export interface ClusterIdentity {
  readonly id: string;
  /** Where its hosts are: see `placesOf`. */
  readonly places: readonly string[];
}

/** The base directories of the hosts, each with how its host is reached. */
export function placesOf({ hosts }: Pick<ClusterSpec, 'hosts'>): string[] {
  return hosts.map(placeOf);
}

function placeOf({ ssh, jump, dir }: HostSpec): string {
  const way = jump === undefined ? '' : `${jump.address}:${jump.port} → `;
  return `${way}${ssh.address}:${ssh.port}${dir}`;
}
