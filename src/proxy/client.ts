import { request } from 'undici';
import type { z } from 'zod';
import { messageOf, PerijoveError } from '../errors/error.js';
import type { Endpoint } from '../ssh/connection.js';
import { limit } from '../net/deadline.js';
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

export interface ProxyClientOptions {
  /** For one request, from connecting to the last byte of the answer. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** What became of an order: taken (or held already), or refused because the proxy holds a higher generation. */
export type SetRouteResult =
  ({ readonly kind: 'set' } & RouteSet) | { readonly kind: 'stale'; readonly generation: number };

export interface ProxyClient {
  route(options?: ProxyClientOptions): Promise<Route | null>;
  /** Idempotent: an order whose answer was lost can be given again. */
  setRoute(order: RouteOrder, options?: ProxyClientOptions): Promise<SetRouteResult>;
  health(options?: ProxyClientOptions): Promise<ProxyHealth>;
}

const defaultTimeoutMs = 1_000;

/**
 * A client of one proxy's API. Every call has a deadline (1 s unless told otherwise).
 *
 * @throws PerijoveError PROXY_UNREACHABLE when nothing answers in time, PROXY_TOKEN_REFUSED for a wrong token,
 * PROXY_BAD_ANSWER when something else than a proxy of this version answers.
 */
export function proxyClient(endpoint: Endpoint, token: string): ProxyClient {
  const base = `http://${endpoint.host}:${endpoint.port}`;

  const call = async (
    method: 'GET' | 'PUT',
    path: string,
    { timeoutMs = defaultTimeoutMs, signal }: ProxyClientOptions,
    order?: RouteOrder,
  ): Promise<{ status: number; body: unknown }> => {
    const time = limit(timeoutMs, signal);
    let status: number;
    let text: string;
    try {
      const answer = await request(`${base}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(order && { 'content-type': 'application/json' }) },
        ...(order && { body: JSON.stringify(order) }),
        signal: time.signal,
      });
      status = answer.statusCode;
      text = await answer.body.text();
    } catch (error) {
      signal?.throwIfAborted();
      const reason = time.passed ? `no response within ${timeoutMs} ms` : messageOf(error);
      throw new PerijoveError('PROXY_UNREACHABLE', `the proxy's API at ${base} does not respond: ${reason}`, {
        subject: base,
        cause: error,
      });
    } finally {
      time.end();
    }
    if (status === 401) {
      throw new PerijoveError('PROXY_TOKEN_REFUSED', `the proxy's API at ${base} rejected the token`, {
        subject: base,
      });
    }
    try {
      return { status, body: JSON.parse(text) };
    } catch {
      return badAnswer(status, text.slice(0, 200));
    }
  };

  const badAnswer = (status: number, detail: string): never => {
    throw new PerijoveError(
      'PROXY_BAD_ANSWER',
      `the proxy's API at ${base} responded with status ${status}: ${detail}`,
      {
        subject: base,
      },
    );
  };

  const parse = <T>(schema: z.ZodType<T>, answer: { status: number; body: unknown }, expected = 200): T => {
    const parsed = answer.status === expected ? schema.safeParse(answer.body) : undefined;
    return parsed?.success
      ? parsed.data
      : badAnswer(answer.status, JSON.stringify(answer.body).slice(0, 200));
  };

  return {
    route: async (options = {}) => parse(routeSchema.nullable(), await call('GET', '/route', options)),
    setRoute: async (order, options = {}) => {
      const answer = await call('PUT', '/route', options, order);
      return answer.status === 409
        ? { kind: 'stale', generation: parse(staleRouteSchema, answer, 409).generation }
        : { kind: 'set', ...parse(routeSetSchema, answer) };
    },
    health: async (options = {}) => parse(proxyHealthSchema, await call('GET', '/health', options)),
  };
}
