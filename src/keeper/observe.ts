import { messageOf } from '../errors/error.js';
import type { KeeperAccess } from './access.js';
import type { NodeView, ProxyView, View } from './drift.js';
import type { Wanted } from './wanted.js';

export interface LookOptions {
  /** For each node and proxy. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** What a node says now. Never rejects. */
export async function observeNode(
  access: KeeperAccess,
  name: string,
  { timeoutMs, signal }: LookOptions,
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

/** What a proxy says now. Never rejects. */
export async function observeProxy(
  access: KeeperAccess,
  host: string,
  { timeoutMs, signal }: LookOptions,
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

/** One look at all nodes and proxies, at once. */
export async function look(
  access: KeeperAccess,
  wanted: Pick<Wanted, 'nodes' | 'proxies'>,
  options: LookOptions,
): Promise<View> {
  const [nodes, proxies] = await Promise.all([
    Promise.all(wanted.nodes.map(async (name) => [name, await observeNode(access, name, options)] as const)),
    Promise.all(
      wanted.proxies.map(async (host) => [host, await observeProxy(access, host, options)] as const),
    ),
  ]);
  return { nodes: Object.fromEntries(nodes), proxies: Object.fromEntries(proxies) };
}
