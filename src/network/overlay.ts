/** The VXLAN of a cluster as one host has it. Pure. */
import { parseSubnet } from '../cluster/addresses.js';
import { bridgeAddresses } from '../cluster/bridges.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';

/** IANA's port for VXLAN. */
const vxlanPort = 4789;
/** What VXLAN adds to a packet: IPv4, UDP, VXLAN and Ethernet headers (RFC 7348). */
export const vxlanOverheadBytes = 50;

export interface Overlay {
  /** What marks links as this cluster's own. */
  readonly alias: string;
  /** The VXLAN device. */
  readonly device: string;
  readonly bridge: string;
  readonly vni: number;
  readonly port: number;
  readonly mtu: number;
  /** The host's address, between which and those of the peers packets go. */
  readonly local: string;
  /** The bridge's address with its prefix length: gateway of the nodes on the host, and the host's way to all nodes. */
  readonly address: string;
  readonly peers: readonly string[];
}

/** Undefined for a cluster without a VXLAN, and for a host that finds no place in it. */
export function overlayOf(spec: ClusterSpec, host: HostSpec): Overlay | undefined {
  const { network } = spec;
  const address = bridgeAddresses(spec).get(host.name);
  const subnet = parseSubnet(network.subnet);
  if (network.kind !== 'vxlan' || address === undefined || subnet === undefined) return undefined;
  return {
    alias: aliasOf(spec.name),
    device: `vxlan${network.vni}`,
    bridge: network.name,
    vni: network.vni,
    port: vxlanPort,
    mtu: network.mtu,
    local: host.address,
    address: `${address}/${subnet.prefix}`,
    peers: spec.hosts
      .filter(({ name }) => name !== host.name)
      .map((peer) => peer.address)
      .sort(),
  };
}

/** The alias (ip-link(8)) of all links of a cluster. */
export function aliasOf(cluster: string): string {
  return `perijove ${cluster}`;
}

/**
 * An Ethernet address that goes with an IPv4 address, as Docker makes those of containers. A bridge without one of
 * its own takes that of a port, and another one when ports come and go, which its neighbours would not know.
 */
export function ethernetAddress(address: string): string {
  const bytes = address.split('/')[0]?.split('.') ?? [];
  return ['02', '42', ...bytes.map((byte) => Number(byte).toString(16).padStart(2, '0'))].join(':');
}
