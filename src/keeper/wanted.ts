import { isDeepStrictEqual } from 'node:util';
import type { HostsEntry } from '../node/api.js';
import { hostsDigest, hostsEntries } from '../node/hosts.js';
import type { Route, RouteOrder } from '../proxy/api.js';
import {
  gateRule,
  hostsWithRole,
  nodeAddress,
  nodeNames,
  proxyUrl,
  type ClusterSpec,
  type GateRule,
  type HostSpec,
} from '../cluster/spec.js';
import type { Verdict } from './state.js';

/** The host of each node, by name; nodes without a known host are missing. */
export type Placement = Readonly<Record<string, string>>;

/** The desired state for one verdict. */
export interface Wanted {
  readonly generation: number;
  /** Epoch and raft term (`termIn`). */
  readonly term: number;
  /** The node that serves. */
  readonly leader: string;
  /** URL of its gate. */
  readonly target: string;
  readonly standby: 'warm' | 'cold';
  readonly gate: GateRule;
  /** Content of every node's hosts file. */
  readonly hosts: readonly HostsEntry[];
  readonly hostsDigest: string;
  /** Names of all nodes, by index. */
  readonly nodes: readonly string[];
  /** Names of the hosts with a proxy. */
  readonly proxies: readonly string[];
  /** By proxy host. */
  readonly routes: Readonly<Record<string, RouteOrder>>;
}

/** `placement` matters only for the topology `owner`. */
export function wantedFor(
  spec: ClusterSpec,
  generation: number,
  verdict: Verdict,
  placement: Placement = {},
): Wanted {
  const nodes = nodeNames(spec);
  const addresses = nodes.map((name, index) => ({ name, address: nodeAddress(spec, index) }));
  const hosts = hostsEntries(addresses, verdict.live);
  const gate = gateRule(spec);
  const proxies = hostsWithRole(spec, 'proxy');
  const { leader, term } = verdict;
  const routes = proxies.map((host): [string, RouteOrder] => [
    host.name,
    {
      generation,
      term,
      node: leader,
      nodes: nodes.map((name) => ({ name, ways: waysTo(spec, host, name, placement[name]) })),
      reflexes: gate === 'reflex',
      drainMs: spec.proxy.drainMs,
    },
  ]);
  return {
    generation,
    term,
    leader,
    target: gateUrl(spec, leader),
    standby: spec.jupyter.standby,
    gate,
    hosts,
    hostsDigest: hostsDigest(hosts),
    nodes,
    proxies: proxies.map((host) => host.name),
    routes: Object.fromEntries(routes),
  };
}

/** URL of the node's Jupyter on the nodes' network. */
export function gateUrl(spec: ClusterSpec, node: string): string {
  return `http://${nodeAddress(spec, nodeNames(spec).indexOf(node))}:${spec.jupyter.port}`;
}

/**
 * The ways from a host to a node, best first; the last one is the node itself. `owner`: through the node's
 * host, or through each host while that is unknown. `chain`: through the hosts that follow in the spec, so
 * that the last one is nearest to the nodes; the order is the same everywhere, so a chain never forms a loop.
 */
export function waysTo(spec: ClusterSpec, from: HostSpec, node: string, owner: string | undefined): string[] {
  const proxies = hostsWithRole(spec, 'proxy');
  const hops = (): readonly HostSpec[] => {
    switch (spec.proxy.topology) {
      case 'direct':
        return [];
      case 'owner':
        if (owner === undefined) return proxies.filter(({ name }) => name !== from.name);
        return from.name === owner ? [] : proxies.filter(({ name }) => name === owner);
      case 'chain':
        return proxies.slice(proxies.findIndex(({ name }) => name === from.name) + 1);
    }
  };
  return [...hops().map((host) => proxyUrl(spec, host)), gateUrl(spec, node)];
}

/** Whether a proxy has exactly this order. */
export function holdsOrder({ since, serving, ...held }: Route, order: RouteOrder): boolean {
  return isDeepStrictEqual(held, order);
}
