import type { Route } from '../api.js';

/** Messages between the proxy's primary process and its workers. */

/** From a worker: it accepts connections. */
export const servingMessage = 'serving';

/** To a worker that was replaced: stop accepting connections, finish the open ones, then exit. */
export const drainMessage = 'drain';

/** From a worker that drains, passed on to the one that serves: the route may have changed while that one started. */
export interface Handover {
  readonly kind: 'handover';
  readonly route: Route;
}

export function isHandover(message: unknown): message is Handover {
  return typeof message === 'object' && message !== null && 'kind' in message && message.kind === 'handover';
}
