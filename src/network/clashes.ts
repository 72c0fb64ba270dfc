/** The problems that block the nodes' network on a host, decided from its observed state. Pure. */
import * as z from 'zod';
import { errorCodes, type ErrorCode } from '../errors/codes.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import type { Problem } from '../hosts/problem.js';
import { addressNumber, isIpv4, parseSubnet, type Subnet } from '../cluster/addresses.js';
import { nodeAddress, nodeName, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { quote } from '../ssh/shell.js';
import { isOwn, observeDockerNetworks, parseDockerNetworks, type DockerNetwork } from './docker-network.js';
import { links, type Link } from './observe.js';
import { overlayOf, vxlanOverheadBytes, type Overlay } from './overlay.js';

const routes = z.array(
  z.object({
    dst: z.string(),
    type: z.string().optional(),
    dev: z.string().optional(),
    gateway: z.string().optional(),
  }),
);
type Route = z.output<typeof routes>[number];

export interface NetworkFacts {
  /** Empty if the host lacks `ip`, which will be installed. */
  readonly ip: Observation<{
    readonly links: readonly Link[];
    readonly routes: readonly Route[];
    /** The interface that has the host's address. */
    readonly underlay?: string;
  }>;
  readonly networks: Observation<readonly DockerNetwork[]>;
}

/** Prints the input of `parseNetworkFacts`; changes nothing. */
export function networkFactsScript({ address }: Pick<HostSpec, 'address'>): string {
  return `PATH="$PATH:/usr/sbin:/sbin"
if ! command -v ip >/dev/null; then echo 'no ip'; else (
  printf 'links '; ip -j -d link show || exit
  printf 'routes '; ip -j -4 route show || exit
  printf 'underlay '; ip -j -4 address show to ${quote(address)} || exit
  echo 'ip complete'
) 2>/dev/null; fi
${observeDockerNetworks}
exit 0`;
}

const interfaces = z.array(z.object({ ifname: z.string().optional() }));

export function parseNetworkFacts(printed: string): NetworkFacts {
  return { ip: parseIp(printed.split('\n')), networks: parseDockerNetworks(printed) };
}

function parseIp(lines: readonly string[]): NetworkFacts['ip'] {
  if (lines.includes('no ip')) return known({ links: [], routes: [] });
  if (!lines.includes('ip complete')) return notKnown('ip failed, or its output was truncated');
  const part = (kind: string): unknown => {
    const line = lines.find((each) => each.startsWith(`${kind} `)) ?? '';
    return JSON.parse(line.slice(kind.length + 1));
  };
  try {
    const found = links.parse(part('links'));
    // Every host has at least one link: an empty list is a failure.
    if (found.length === 0) return notKnown('ip listed no link, not even loopback');
    const underlay = interfaces.parse(part('underlay')).find(({ ifname }) => ifname !== undefined)?.ifname;
    return known({
      links: found,
      routes: routes.parse(part('routes')),
      ...(underlay === undefined ? {} : { underlay }),
    });
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof z.ZodError)) throw error;
    return notKnown('the output of ip is not JSON');
  }
}

/** All problems of a host with the nodes' network. The cluster's own links and networks are none. */
export function networkProblems(spec: ClusterSpec, host: HostSpec, facts: NetworkFacts): Problem[] {
  switch (spec.network.kind) {
    case 'flat':
      return [];
    case 'existing':
      return existingProblems(spec, host, facts);
    case 'vxlan': {
      const overlay = overlayOf(spec, host);
      return overlay === undefined ? [] : overlayProblems(spec, host, overlay, facts);
    }
  }
}

function problem(host: HostSpec, code: ErrorCode, message: string, remedy?: string): Problem {
  return {
    code,
    host: host.name,
    message: `${host.name}: ${message}`,
    remedy: remedy ?? errorCodes[code].remedy,
  };
}

function existingProblems(spec: ClusterSpec, host: HostSpec, { networks }: NetworkFacts): Problem[] {
  const { network } = spec;
  // If Docker does not respond yet, the stage checks again once it does.
  if (network.kind !== 'existing' || !networks.known || !host.roles.includes('agent')) return [];
  const found = networks.value.find(({ name }) => name === network.name);
  if (found === undefined) {
    return [problem(host, 'NETWORK_MISSING', `Docker network not found: ${network.name}`)];
  }
  const subnets = found.pools.flatMap(({ subnet }) => parseSubnet(subnet) ?? []);
  const outside = Array.from({ length: spec.nodes.count }, (_, index) => index).find(
    (index) => !subnets.some((subnet) => contains(subnet, nodeAddress(spec, index))),
  );
  if (outside === undefined) return [];
  const has = found.pools.map(({ subnet }) => subnet).join(', ') || 'no subnet';
  return [
    problem(
      host,
      'NETWORK_SUBNET',
      `the Docker network ${network.name} has ${has}, which does not contain ${nodeAddress(spec, outside)} of ${nodeName(outside)}`,
    ),
  ];
}

function overlayProblems(
  spec: ClusterSpec,
  host: HostSpec,
  overlay: Overlay,
  facts: NetworkFacts,
): Problem[] {
  if (!facts.ip.known) {
    const why = `links and routes are unknown: ${facts.ip.why}`;
    return [
      problem(
        host,
        'COMMAND_FAILED',
        why,
        'Run `ip -j -d link` and `ip -j route` there and check their output, then run the command again.',
      ),
    ];
  }
  const { subnet } = spec.network;
  const { links: found, routes: taken, underlay: way } = facts.ip.value;
  const clash = (message: string, remedy?: string) => problem(host, 'NETWORK_CLASH', message, remedy);
  // A stopped Docker has only the bridges that `ip` lists, and refuses overlapping networks.
  const networks = facts.networks.known ? facts.networks.value : [];
  const own = new Set([
    ...found.flatMap(({ ifname, ifalias }) => (ifalias === overlay.alias ? [ifname] : [])),
    ...networks.flatMap((each) => (isOwn(each, spec.name) ? (each.bridge ?? []) : [])),
  ]);
  const foreign = networks.filter((each) => !isOwn(each, spec.name));
  const foreignBridges = new Set(foreign.map(({ bridge }) => bridge));
  const underlay = found.find(({ ifname }) => ifname === way);
  const needed = overlay.mtu + vxlanOverheadBytes;

  return [
    ...(underlay !== undefined && underlay.mtu < needed
      ? [
          problem(
            host,
            'NETWORK_MTU',
            `${underlay.ifname} has an MTU of ${underlay.mtu}, but packets of the nodes with their VXLAN headers need ${needed} bytes`,
            `Set \`network.vxlan.mtu\` to ${underlay.mtu - vxlanOverheadBytes} or less, or raise the MTU of the network between the hosts.`,
          ),
        ]
      : []),
    ...foreign.flatMap((each) => {
      const overlapping = each.pools.find((pool) => overlap(pool.subnet, subnet));
      if (overlapping !== undefined) {
        return [
          clash(
            `the Docker network ${each.name} uses ${overlapping.subnet}, which overlaps ${subnet} of the nodes`,
          ),
        ];
      }
      return each.name === overlay.bridge
        ? [clash(`the Docker network ${each.name} exists and does not belong to this cluster`, otherName)]
        : [];
    }),
    ...taken
      .filter(({ dev }) => dev === undefined || !(own.has(dev) || foreignBridges.has(dev)))
      .filter((route) => takes(route, subnet))
      .map(({ dst, dev }) =>
        clash(`${dst} is routed to ${dev ?? 'elsewhere'}, which conflicts with ${subnet} of the nodes`),
      ),
    ...found
      .filter(({ ifname }) => !own.has(ifname))
      .flatMap(({ ifname, linkinfo }) => {
        if (ifname === overlay.bridge || ifname === overlay.device) {
          return [clash(`the link ${ifname} exists and does not belong to this cluster`, otherName)];
        }
        const data = linkinfo?.info_kind === 'vxlan' ? linkinfo.info_data : undefined;
        return data?.id === overlay.vni && data.port === overlay.port
          ? [
              clash(
                `${ifname} is a VXLAN with the same identifier ${overlay.vni}`,
                'Choose another `network.vxlan.id`.',
              ),
            ]
          : [];
      }),
  ];
}

const otherName = 'Choose another `network.vxlan.name` or `network.vxlan.id`, or remove what uses it.';

/**
 * Whether a route would lose or intercept traffic to the nodes' subnet: one that is at least as narrow, or
 * leads to a directly attached network. A wider route through a gateway (a default route, a company's
 * 10.0.0.0/8) still serves the rest; a route that leads nowhere loses nothing.
 */
function takes({ dst, type, gateway }: Route, subnet: string): boolean {
  if (type !== undefined && type !== 'unicast') return false;
  if (dst === 'default' || !overlap(dst, subnet)) return false;
  return gateway === undefined || prefixOf(dst) >= prefixOf(subnet);
}

function range(cidr: string): Subnet | undefined {
  return parseSubnet(isIpv4(cidr) ? `${cidr}/32` : cidr);
}

function prefixOf(cidr: string): number {
  return range(cidr)?.prefix ?? 0;
}

function overlap(a: string, b: string): boolean {
  const [one, two] = [range(a), range(b)];
  return one !== undefined && two !== undefined && one.first <= two.last && two.first <= one.last;
}

function contains(subnet: Subnet, address: string): boolean {
  const value = addressNumber(address);
  return subnet.first <= value && value <= subnet.last;
}
