import { messageOf } from '../errors/error.js';
import type { KeeperAccess } from './access.js';
import type { NodeView, ProxyView, View } from './drift.js';
import type { Wanted } from './wanted.js';

export interface ObserveOptions {
  /** Per node and proxy. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Observes one node. Never rejects. */
export async function observeNode(
  access: KeeperAccess,
  name: string,
  { timeoutMs, signal }: ObserveOptions,
): Promise<NodeView> {
  try {
    const status = await access.node(name, (client) =>
      client.status({ timeoutMs, ...(signal && { signal }) }),
    );
    return { ok: true, status };
  } catch (error) {
    return { ok: false, reason: messageOf(error) };
  }
}

/** Observes one proxy. Never rejects. */
export async function observeProxy(
  access: KeeperAccess,
  host: string,
  { timeoutMs, signal }: ObserveOptions,
): Promise<ProxyView> {
  try {
    const route = await access.proxy(host, (client) =>
      client.route({ timeoutMs, ...(signal && { signal }) }),
    );
    return { ok: true, route };
  } catch (error) {
    return { ok: false, reason: messageOf(error) };
  }
}

/** Observes all nodes and proxies in parallel. */
export async function look(
  access: KeeperAccess,
  wanted: Pick<Wanted, 'nodes' | 'proxies'>,
  options: ObserveOptions,
): Promise<View> {
  const [nodes, proxies] = await Promise.all([
    Promise.all(wanted.nodes.map(async (name) => [name, await observeNode(access, name, options)] as const)),
    Promise.all(
      wanted.proxies.map(async (host) => [host, await observeProxy(access, host, options)] as const),
    ),
  ]);
  return { nodes: Object.fromEntries(nodes), proxies: Object.fromEntries(proxies) };
}
