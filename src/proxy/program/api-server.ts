import type { Server } from 'node:http';
import type { Logger } from 'pino';
import { jsonServer, Refusal } from '../../net/json-server.js';
import {
  routeOrderSchema,
  type ProxyHealth,
  type RouteOrder,
  type RouteSet,
  type StaleRoute,
} from '../api.js';
import type { RouteFile } from './route-file.js';
import type { Router } from './router.js';

export interface ApiServerOptions {
  readonly router: Router;
  /** The accepted ones. */
  readonly tokens: readonly string[];
  readonly routeFile: RouteFile;
  readonly logger: Logger;
}

const longestBodyBytes = 64 * 1024;

/** The API described in `api.ts`; the caller starts listening. */
export function createApiServer({ router, tokens, routeFile, logger }: ApiServerOptions): Server {
  const take = (order: RouteOrder): RouteSet => {
    const { node, nodes } = order;
    if (nodes.every(({ name }) => name !== node))
      throw new Refusal(400, { code: 'BAD_REQUEST', message: `${node} is not one of the nodes` });
    const set: RouteSet | undefined = router.take(order);
    if (!set) {
      const { generation = 0 } = router.route ?? {};
      logger.warn({ order, generation }, 'order of an earlier generation refused');
      throw new Refusal<StaleRoute>(409, { code: 'STALE_GENERATION', generation });
    }
    // Users wait for the last proxy's reply, never for a disk: `health` reports when the route is stored, and
    // a proxy that restarts with an older route receives the newer one again.
    if (!set.changed && !routeFile.stored) void routeFile.store(set.route);
    return set;
  };

  return jsonServer({
    tokens: () => tokens,
    longestBodyBytes,
    logger,
    routes: {
      'GET /route': () => router.route ?? null,
      'PUT /route': async ({ order }) => take(await order(routeOrderSchema)),
      'GET /health': async (): Promise<ProxyHealth> => ({
        pid: process.pid,
        uptimeMs: Math.round(process.uptime() * 1000),
        stored: routeFile.stored,
        ...(await router.health()),
      }),
    },
  });
}
