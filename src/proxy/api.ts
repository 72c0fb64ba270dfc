/**
 * The API of the proxy program, on the host's loopback address: `Authorization: Bearer <proxy-api-token>`.
 *
 * | request | answer |
 * | --- | --- |
 * | `GET /route` | the route, or `null` |
 * | `PUT /route` | 200 `RouteSet`; 409 `StaleRoute` for a generation below the stored one |
 * | `GET /health` | `ProxyHealth` |
 */
import * as z from 'zod';

const httpTarget = z.string().refine((value) => URL.canParse(value) && new URL(value).protocol === 'http:', {
  message: 'must be an http:// address',
});

/** Another host's proxy, which may serve HTTPS, or a node. */
const wayTarget = z
  .string()
  .refine((value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol), {
    message: 'must be an http:// or https:// address',
  });

const term = z.number().int().nonnegative();

/** A node that could serve, and how this host reaches its gate. */
export const routeNodeSchema = z.object({
  name: z.string().min(1),
  /**
   * Addresses to connect to, best first: proxies of other hosts on the way (by topology), and last the node
   * itself, such as `http://127.0.2.10:8888`. Addresses that do not answer are skipped.
   */
  ways: z
    .array(wayTarget)
    .min(1)
    .refine((ways) => httpTarget.safeParse(ways.at(-1)).success, { message: 'must end at a node' }),
});
export type RouteNode = Readonly<z.infer<typeof routeNodeSchema>>;

export const routeOrderSchema = z.object({
  /** Rises with each verdict; a lower generation never replaces a higher one. */
  generation: z.number().int().nonnegative(),
  /** Epoch and raft term (`termIn`) of the verdict. */
  term,
  /** Name of the serving node; one of `nodes`. */
  node: z.string().min(1),
  /** All nodes of the cluster, by index. */
  nodes: z.array(routeNodeSchema).min(1),
  /** Switch to the open gate of the highest term when `node` stops serving, without an order. */
  reflexes: z.boolean(),
  /** How long connections to a live node may continue after it stops serving. */
  drainMs: z.number().int().nonnegative(),
});
export type RouteOrder = Readonly<z.infer<typeof routeOrderSchema>>;

/** Current target of requests: the order's `node`, or where a reflex has switched since. */
export const servingSchema = z.object({
  node: z.string().min(1),
  /** The address in use. */
  target: wayTarget,
  term,
  by: z.enum(['keeper', 'reflex']),
  /** ISO 8601. */
  since: z.string(),
});
export type Serving = Readonly<z.infer<typeof servingSchema>>;

export const routeSchema = routeOrderSchema.extend({
  /** When the proxy accepted this order. ISO 8601. */
  since: z.string(),
  serving: servingSchema,
});
export type Route = Readonly<z.infer<typeof routeSchema>>;

export const routeSetSchema = z.object({ changed: z.boolean(), route: routeSchema });
export type RouteSet = Readonly<z.infer<typeof routeSetSchema>>;

export const staleRouteSchema = z.object({
  code: z.literal('STALE_GENERATION'),
  /** The proxy's generation. */
  generation: z.number().int(),
});
export type StaleRoute = Readonly<z.infer<typeof staleRouteSchema>>;

export const proxyHealthSchema = z.object({
  pid: z.number().int(),
  uptimeMs: z.number(),
  route: routeSchema.nullable(),
  /** Whether the target just gave any HTTP response; `null` without a route. */
  answering: z.boolean().nullable(),
  /** Open connections to the route's target, and to earlier targets that still drain. */
  connections: z.object({ current: z.number().int(), draining: z.number().int() }),
  /** Whether the route is on disk, so that it serves immediately after a restart. */
  stored: z.boolean(),
});
export type ProxyHealth = Readonly<z.infer<typeof proxyHealthSchema>>;
