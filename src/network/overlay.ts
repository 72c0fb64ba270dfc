/** The VXLAN of a cluster as seen by one host. Pure. */
import { parseSubnet } from '../cluster/addresses.js';
import { bridgeAddresses } from '../cluster/bridges.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';

/** IANA's port for VXLAN. */
const vxlanPort = 4789;
/** Bytes that VXLAN adds to a packet: IPv4, UDP, VXLAN and Ethernet headers (RFC 7348). */
export const vxlanOverheadBytes = 50;

export interface Overlay {
  /** Marks links that belong to this cluster. */
  readonly alias: string;
  /** The VXLAN device. */
  readonly device: string;
  readonly bridge: string;
  readonly vni: number;
  readonly port: number;
  readonly mtu: number;
  /** The host's own address, to which peers send packets. */
  readonly local: string;
  /** The bridge's address and prefix length: the gateway of the host's nodes, and its route to all nodes. */
  readonly address: string;
  readonly peers: readonly string[];
}

/** Undefined for a cluster without a VXLAN, and for a host without an address in it. */
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
 * An Ethernet address derived from an IPv4 address, as Docker does for containers. A bridge without its own
 * would use that of a port and change it as ports come and go, which its neighbours would not notice.
 */
export function ethernetAddress(address: string): string {
  const bytes = address.split('/')[0]?.split('.') ?? [];
  return ['02', '42', ...bytes.map((byte) => Number(byte).toString(16).padStart(2, '0'))].join(':');
}
