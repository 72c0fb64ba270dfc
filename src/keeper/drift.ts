import type { JupyterStatus, NodeStatus } from '../node/api.js';
import type { Route } from '../proxy/api.js';
import { holdsOrder, type Wanted } from './wanted.js';
import type { Drift } from './state.js';

export type NodeView =
  | {
      readonly ok: true;
      readonly status: Pick<NodeStatus, 'generation' | 'jupyter' | 'hosts'> &
        Partial<Pick<NodeStatus, 'etcd'>>;
    }
  | { readonly ok: false; readonly reason: string };

export type ProxyView =
  { readonly ok: true; readonly route: Route | null } | { readonly ok: false; readonly reason: string };

/** Last observations of nodes and proxies, by name; missing until the first one. */
export interface View {
  readonly nodes: Readonly<Record<string, NodeView>>;
  readonly proxies: Readonly<Record<string, ProxyView>>;
}

/**
 * All differences between the observed and the desired state, in a stable order. What was not observed stays
 * as it was known.
 */
export function drifts(wanted: Wanted, view: View, known: readonly Drift[] = []): Drift[] {
  const asKnown = (subject: string) => known.filter((drift) => drift.subject === subject);
  return [
    ...wanted.proxies.flatMap((host) => {
      const seen = view.proxies[host];
      return seen ? proxyDrifts(wanted, host, seen) : asKnown(host);
    }),
    ...wanted.nodes.flatMap((node) => {
      const seen = view.nodes[node];
      return seen ? nodeDrifts(wanted, node, seen) : asKnown(node);
    }),
  ];
}

function proxyDrifts(wanted: Wanted, host: string, seen: ProxyView): Drift[] {
  if (!seen.ok)
    return [{ kind: 'proxy-silent', subject: host, what: `the proxy on ${host} does not respond` }];
  const { route } = seen;
  if (route === null) return [{ kind: 'route', subject: host, what: `the proxy on ${host} has no route` }];
  const { generation, node } = route;
  const order = wanted.routes[host];
  if (!order || holdsOrder(route, order)) return [];
  const what =
    generation === wanted.generation && node === wanted.leader
      ? `the proxy on ${host} has a different configuration of generation ${generation}`
      : `the proxy on ${host} routes to ${node} (generation ${generation}) instead of ${wanted.leader} (${wanted.generation})`;
  return [{ kind: 'route', subject: host, what }];
}

function nodeDrifts(wanted: Wanted, node: string, seen: NodeView): Drift[] {
  if (!seen.ok) return [{ kind: 'node-silent', subject: node, what: `${node} does not respond` }];
  const { jupyter, hosts } = seen.status;
  const found: Drift[] = [];
  if (node === wanted.leader) {
    if (!serves(jupyter) || jupyter.generation !== wanted.generation) {
      const gate = jupyter.gate.open ? 'open' : 'shut';
      const what = `${node} should serve, but its Jupyter is ${jupyter.state} and its gate is ${gate} (generation ${jupyter.generation})`;
      found.push({ kind: 'jupyter-down', subject: node, what });
    }
  } else if (isElsewhere(wanted, jupyter)) {
    const what = `${node} ${serves(jupyter) ? 'serves but should not' : 'still has the order to serve'}`;
    found.push({ kind: 'jupyter-elsewhere', subject: node, what });
  }
  if (hosts.generation !== wanted.generation || hosts.digest !== wanted.hostsDigest) {
    found.push({
      kind: 'hosts',
      subject: node,
      what: `the hosts file of ${node} is not of the current generation`,
    });
  }
  return found;
}

/** Whether the node serves users. */
export function serves(jupyter: JupyterStatus): boolean {
  return jupyter.serve && jupyter.state === 'ready' && jupyter.gate.open;
}

/**
 * Whether a node that should not serve needs an order. A gate that follows leadership shuts automatically; an
 * unused cold Jupyter is stopped.
 */
export function isElsewhere(wanted: Pick<Wanted, 'standby'>, jupyter: JupyterStatus): boolean {
  const runs = jupyter.state === 'ready' || jupyter.state === 'starting';
  return jupyter.serve || (wanted.standby === 'cold' && runs);
}
