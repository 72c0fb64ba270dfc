/**
 * The API of the proxy program, on the host's loopback side: `Authorization: Bearer <proxy-api-token>`.
 *
 * | request | answer |
 * | --- | --- |
 * | `GET /route` | the route, or `null` |
 * | `PUT /route` | 200 `RouteSet`; 409 `StaleRoute` for a generation below the stored one |
 * | `GET /health` | `ProxyHealth` |
 */
import { z } from 'zod';

const httpTarget = z.string().refine((value) => URL.canParse(value) && new URL(value).protocol === 'http:', {
  message: 'must be an http:// address',
});

const term = z.number().int().nonnegative();

/** One node that could serve, and how this host gets to its gate. */
export const routeNodeSchema = z.object({
  name: z.string().min(1),
  /**
   * Where to connect, the best first: proxies of other hosts that lead there (by topology), and at the end the
   * node itself, such as `http://127.0.2.10:8888`. One that does not answer is passed over.
   */
  ways: z.array(httpTarget).min(1),
});
export type RouteNode = Readonly<z.infer<typeof routeNodeSchema>>;

export const routeOrderSchema = z.object({
  /** Rises with each verdict; a lower one never replaces a higher one. */
  generation: z.number().int().nonnegative(),
  /** Raft term of the verdict. */
  term,
  /** Name of the node that serves; one of `nodes`. */
  node: z.string().min(1),
  /** All nodes of the cluster, by index. */
  nodes: z.array(routeNodeSchema).min(1),
  /** Turn by itself to the open gate of the highest term when `node` serves no longer. */
  reflexes: z.boolean(),
  /** How long connections to a node that lives and serves no longer may go on. */
  drainMs: z.number().int().nonnegative(),
});
export type RouteOrder = Readonly<z.infer<typeof routeOrderSchema>>;

/** Where requests go now: to `node` of the order, or to where a reflex has turned since. */
export const servingSchema = z.object({
  node: z.string().min(1),
  /** The way in use. */
  target: httpTarget,
  term,
  by: z.enum(['keeper', 'reflex']),
  /** ISO 8601. */
  since: z.string(),
});
export type Serving = Readonly<z.infer<typeof servingSchema>>;

export const routeSchema = routeOrderSchema.extend({
  /** When the proxy took this order. ISO 8601. */
  since: z.string(),
  serving: servingSchema,
});
export type Route = Readonly<z.infer<typeof routeSchema>>;

export const routeSetSchema = z.object({ changed: z.boolean(), route: routeSchema });
export type RouteSet = Readonly<z.infer<typeof routeSetSchema>>;

export const staleRouteSchema = z.object({
  code: z.literal('STALE_GENERATION'),
  /** The generation that the proxy holds. */
  generation: z.number().int(),
});
export type StaleRoute = Readonly<z.infer<typeof staleRouteSchema>>;

export const proxyHealthSchema = z.object({
  pid: z.number().int(),
  uptimeMs: z.number(),
  route: routeSchema.nullable(),
  /** Whether the target gave any HTTP answer just now; `null` without a route. */
  answering: z.boolean().nullable(),
  /** Open connections to the target of the route, and to earlier ones that still drain. */
  connections: z.object({ current: z.number().int(), draining: z.number().int() }),
  /** Whether the route is stored on disk, so that a restart serves at once. */
  stored: z.boolean(),
});
export type ProxyHealth = Readonly<z.infer<typeof proxyHealthSchema>>;
