/** Parses the output of `ip -j` and `bridge -j` about an overlay, and finds differences. Pure. */
import * as z from 'zod';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import { ethernetAddress, type Overlay } from './overlay.js';

const link = z.object({
  ifname: z.string(),
  mtu: z.number(),
  flags: z.array(z.string()).default([]),
  address: z.string().optional(),
  master: z.string().optional(),
  ifalias: z.string().optional(),
  linkinfo: z
    .object({
      info_kind: z.string().optional(),
      info_data: z
        .object({
          id: z.number().optional(),
          local: z.string().optional(),
          port: z.number().optional(),
          learning: z.boolean().optional(),
        })
        .optional()
        // Other kinds use the same names for data of other types.
        .catch(undefined),
    })
    .optional(),
});
export type Link = z.output<typeof link>;

/** `ip -j` prints an empty object for each entry that it omits. */
const present = (value: unknown) =>
  Array.isArray(value) ? value.filter((each) => Object.keys(each as object).length > 0) : value;
export const links = z.preprocess(present, z.array(link));

const addresses = z.preprocess(
  present,
  z.array(
    z.object({
      ifname: z.string(),
      addr_info: z.array(z.object({ local: z.string(), prefixlen: z.number() }).or(z.object({}))).default([]),
    }),
  ),
);
const entries = z.preprocess(present, z.array(z.object({ mac: z.string(), dst: z.string().optional() })));

export interface ObservedOverlay {
  readonly links: readonly Link[];
  /** Addresses with their prefix length, by link. */
  readonly addresses: Readonly<Record<string, readonly string[]>>;
  /** Destinations of broadcast frames. */
  readonly peers: readonly string[];
}

/** Known if the output of `observeOverlayScript` is complete, with both lines for each link. */
export function parseOverlay(printed: string): Observation<ObservedOverlay> {
  const lines = printed.split('\n');
  const parts = (kind: string): unknown[] =>
    lines
      .filter((line) => line.startsWith(`${kind} `))
      .map((line) => JSON.parse(line.slice(kind.length + 1)) as unknown);
  if (!lines.includes('complete')) return notKnown('ip failed, or its output was truncated');
  try {
    const linkParts = parts('link').map((part) => links.parse(part));
    const addressParts = parts('address').map((part) => addresses.parse(part));
    if (linkParts.some((part) => part.length !== 1) || addressParts.length !== linkParts.length) {
      return notKnown('ip did not list an existing link');
    }
    return known({
      links: linkParts.flat(),
      addresses: Object.fromEntries(
        addressParts
          .flat()
          .map(({ ifname, addr_info }) => [
            ifname,
            addr_info.flatMap((each) => ('local' in each ? [`${each.local}/${each.prefixlen}`] : [])),
          ]),
      ),
      peers: parts('fdb')
        .flatMap((part) => entries.parse(part))
        .flatMap(({ mac, dst }) => (mac === '00:00:00:00:00:00' && dst !== undefined ? [dst] : [])),
    });
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof z.ZodError)) throw error;
    return notKnown('the output of ip about links is not JSON');
  }
}

/**
 * The differences between an overlay and its desired state, as text; empty if there are none. An unknown
 * state counts as a difference: the script then runs again, observes for itself, and changes nothing if it
 * cannot.
 */
export function overlayDifferences(wanted: Overlay, observed: Observation<ObservedOverlay>): string[] {
  if (!observed.known) return [`its links are unknown: ${observed.why}`];
  const { links: has, addresses, peers } = observed.value;
  const { device, bridge, alias, mtu, vni, port, local, address } = wanted;
  const vxlan = has.find(({ ifname }) => ifname === device);
  const switching = has.find(({ ifname }) => ifname === bridge);
  if (vxlan === undefined && switching === undefined) return [`no ${device} and no ${bridge}`];
  if (vxlan === undefined) return [`no ${device}`];
  if (switching === undefined) return [`no ${bridge}`];
  const data = vxlan.linkinfo?.info_data;
  const isUp = ({ flags }: Link) => flags.includes('UP');
  const differs: readonly (readonly [boolean, string])[] = [
    [
      data?.id !== vni || data.local !== local || data.port !== port || data.learning !== false,
      `${device} has different parameters`,
    ],
    [vxlan.master !== bridge, `${device} is not in ${bridge}`],
    [switching.address !== ethernetAddress(address), `${bridge} has a different Ethernet address`],
    [vxlan.ifalias !== alias || switching.ifalias !== alias, 'links are unmarked'],
    [vxlan.mtu !== mtu || switching.mtu !== mtu, 'different MTU'],
    [!isUp(vxlan) || !isUp(switching), 'links are down'],
    [(addresses[bridge] ?? []).join() !== address, `${bridge} does not have exactly the address ${address}`],
    [peers.toSorted().join() !== wanted.peers.toSorted().join(), 'different peers'],
  ];
  return differs.flatMap(([yes, what]) => (yes ? [what] : []));
}
