import { addressNumber, addressText, parseSubnet } from './addresses.js';
import type { ClusterSpec } from './spec.js';

type Bridged = Pick<ClusterSpec, 'hosts' | 'network'>;

/** The addresses of a VXLAN subnet reserved for hosts: its upper quarter without the broadcast address. */
export function bridgeRange(subnet: string): { readonly first: number; readonly count: number } {
  const { first, last } = parseSubnet(subnet) ?? { first: 0, last: 3 };
  const size = last - first + 1;
  return { first: first + size - Math.floor(size / 4), count: Math.floor(size / 4) - 1 };
}

/**
 * The address of each host's bridge in a VXLAN, by host name. It is derived from the address of the host, so
 * adding and removing other hosts does not change it; if two hosts map to the same address, their order in
 * the spec decides. Hosts without a free address are left out.
 */
export function bridgeAddresses({ hosts, network }: Bridged): ReadonlyMap<string, string> {
  const { first, count } = bridgeRange(network.subnet);
  const taken = new Map<number, string>();
  for (const { name, address } of hosts) {
    if (taken.size >= count) break;
    let place = addressNumber(address) % count;
    while (taken.has(place)) place = (place + 1) % count;
    taken.set(place, name);
  }
  return new Map([...taken].map(([place, name]) => [name, addressText(first + place)]));
}
