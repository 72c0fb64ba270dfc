/** What of Jupyter's API a request names: things that belong to one node, whoever serves. */
import type { IncomingHttpHeaders } from 'node:http';
import { nodeOfTerminal } from '../../../jupyter/terminals.js';

/** Lists that are the union over all nodes. */
export const lists = ['kernels', 'sessions', 'terminals'] as const;
export type List = (typeof lists)[number];

export type Named =
  | { readonly kind: 'list'; readonly list: List }
  | { readonly kind: 'creation'; readonly list: 'kernels' | 'sessions' }
  /** `id` is a UUID of Jupyter's, or the name of a terminal. */
  | { readonly kind: 'item'; readonly list: List; readonly id: string };

/** Undefined for what every node's Jupyter answers alike. */
export function namedIn(method: string, url: string): Named | undefined {
  const path = pathOf(url);
  if (path === undefined) return undefined;
  const found =
    /^(?:\/api\/(kernels|sessions|terminals)|\/terminals\/websocket)(?:\/([^/]+)(?:\/.*)?)?\/?$/.exec(path);
  if (found === null) return undefined;
  const [, name = 'terminals', id] = found;
  const list = name as List;
  if (id !== undefined) return { kind: 'item', list, id };
  if (method === 'GET') return { kind: 'list', list };
  // A terminal belongs to the node that serves.
  return method === 'POST' && list !== 'terminals' ? { kind: 'creation', list } : undefined;
}

/** Whether a request brings anything by which Jupyter could know its sender. Who brings nothing is refused by every node. */
export function bringsCredential(headers: IncomingHttpHeaders, url: string): boolean {
  return headers.authorization !== undefined || headers.cookie !== undefined || /[?&]token=/.test(url);
}

/** The node that gave the terminal its name. */
export function ownerByName({ list, id }: { readonly list: List; readonly id: string }): string | undefined {
  return list === 'terminals' ? nodeOfTerminal(id) : undefined;
}

function pathOf(url: string): string | undefined {
  try {
    return decodeURIComponent(new URL(url, 'http://base.invalid').pathname);
  } catch {
    // Jupyter refuses it.
    return undefined;
  }
}
