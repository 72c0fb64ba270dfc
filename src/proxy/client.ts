import type * as z from 'zod';
import { PerijoveError } from '../errors/error.js';
import type { Endpoint } from '../ssh/connection.js';
import { jsonClient, type CallOptions, type JsonAnswer } from '../net/json-client.js';
import {
  proxyHealthSchema,
  routeSchema,
  routeSetSchema,
  staleRouteSchema,
  type ProxyHealth,
  type Route,
  type RouteOrder,
  type RouteSet,
} from './api.js';

/**
 * Result of an order: accepted (or already in force), or rejected because the proxy has a higher generation.
 */
export type SetRouteResult =
  ({ readonly kind: 'set' } & RouteSet) | { readonly kind: 'stale'; readonly generation: number };

export interface ProxyClient {
  route(options?: CallOptions): Promise<Route | null>;
  /** Idempotent: an order whose reply was lost can be repeated. */
  setRoute(order: RouteOrder, options?: CallOptions): Promise<SetRouteResult>;
  health(options?: CallOptions): Promise<ProxyHealth>;
}

const defaultTimeoutMs = 1_000;

/**
 * A client of one proxy's API. Every call has a deadline (default 1 s).
 *
 * @throws PerijoveError PROXY_UNREACHABLE without a reply in time, PROXY_TOKEN_REFUSED for a wrong token,
 *   PROXY_BAD_ANSWER when the reply is not from a proxy of this version.
 */
export function proxyClient(endpoint: Endpoint, token: string): ProxyClient {
  const base = `http://${endpoint.host}:${endpoint.port}`;

  const at = { subject: base };
  const ask = jsonClient({
    base,
    token,
    timeoutMs: defaultTimeoutMs,
    unreachable: (why, cause) =>
      new PerijoveError('PROXY_UNREACHABLE', `the proxy's API at ${base} does not answer: ${why}`, {
        ...at,
        cause,
      }),
  });

  const call = async (path: string, options: CallOptions, order?: RouteOrder): Promise<JsonAnswer> => {
    const answer = await ask(path, options, order);
    if (answer.status === 401) {
      throw new PerijoveError('PROXY_TOKEN_REFUSED', `the proxy's API at ${base} refused the token`, at);
    }
    if (answer.body === undefined) return badAnswer(answer);
    return answer;
  };

  const badAnswer = ({ status, text }: JsonAnswer): never => {
    const message = `the proxy's API at ${base} responded with status ${status}: ${text.slice(0, 200)}`;
    throw new PerijoveError('PROXY_BAD_ANSWER', message, at);
  };

  const parse = <T>(schema: z.ZodType<T>, answer: JsonAnswer, expected = 200): T => {
    const parsed = answer.status === expected ? schema.safeParse(answer.body) : undefined;
    return parsed?.success ? parsed.data : badAnswer(answer);
  };

  return {
    route: async (options = {}) => parse(routeSchema.nullable(), await call('/route', options)),
    setRoute: async (order, options = {}) => {
      const answer = await call('/route', options, order);
      return answer.status === 409
        ? { kind: 'stale', generation: parse(staleRouteSchema, answer, 409).generation }
        : { kind: 'set', ...parse(routeSetSchema, answer) };
    },
    health: async (options = {}) => parse(proxyHealthSchema, await call('/health', options)),
  };
}
