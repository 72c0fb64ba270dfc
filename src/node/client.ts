import { request } from 'undici';
import type { z } from 'zod';
import { messageOf, PerijoveError } from '../errors/error.js';
import { limit } from '../net/deadline.js';
import {
  hostsStatusSchema,
  jupyterStatusSchema,
  nodeFailureSchema,
  nodeStatusSchema,
  retiredSchema,
  type HostsOrder,
  type HostsStatus,
  type JupyterOrder,
  type JupyterStatus,
  type NodeStatus,
  type Retired,
  type RetireOrder,
} from './api.js';

export interface CallOptions {
  /** Of the whole call, on top of what the call waits for; 2,000 by default. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * The control API of one node. Every call throws NODE_UNREACHABLE when no answer came in time,
 * NODE_AUTH_FAILED when the token was refused, and NODE_REFUSED for any other refusal.
 */
export interface NodeClient {
  status(options?: CallOptions): Promise<NodeStatus>;
  /**
   * Makes this node the one that serves, or not. With `waitMs` the answer comes when it is so (Jupyter ready
   * and the gate open; or the gate shut, and a cold Jupyter stopped), or when the time is over: read `state`
   * and `gate`. Throws STALE_GENERATION when the node knows a higher one.
   */
  orderJupyter(
    order: JupyterOrder,
    options?: CallOptions & { readonly waitMs?: number },
  ): Promise<JupyterStatus>;
  /** Replaces our lines of the node's hosts file. Throws STALE_GENERATION when the node knows a higher one. */
  orderHosts(order: HostsOrder, options?: CallOptions): Promise<HostsStatus>;
  /**
   * From now on the node does not join etcd again, in this life of it. Its member works on until it is removed.
   * Throws NODE_REFUSED when the node is another task by now.
   */
  retire(order: RetireOrder, options?: CallOptions): Promise<Retired>;
}

export function nodeClient(
  endpoint: { readonly host: string; readonly port: number },
  token: string,
): NodeClient {
  const base = `http://${endpoint.host}:${endpoint.port}`;
  const call = async <Answer>(
    answer: z.ZodType<Answer>,
    path: string,
    order: unknown,
    { timeoutMs = 2_000, signal }: CallOptions,
  ): Promise<Answer> => {
    const time = limit(timeoutMs, signal);
    const at = { subject: base };
    let status: number;
    let body: unknown;
    try {
      const response = await request(`${base}${path}`, {
        method: order === undefined ? 'GET' : 'PUT',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: order === undefined ? null : JSON.stringify(order),
        signal: time.signal,
      });
      status = response.statusCode;
      body = await response.body.json();
    } catch (error) {
      signal?.throwIfAborted();
      const why = time.passed ? `no response within ${timeoutMs} ms` : messageOf(error);
      throw new PerijoveError('NODE_UNREACHABLE', `the node at ${base} does not respond: ${why}`, {
        ...at,
        cause: error,
      });
    } finally {
      time.end();
    }
    const good = status === 200 ? answer.safeParse(body) : undefined;
    if (good?.success === true) return good.data;
    const failure = nodeFailureSchema.safeParse(body);
    if (!failure.success) {
      throw new PerijoveError('NODE_REFUSED', `the node at ${base} sent an unknown response (${status})`, at);
    }
    const { code, message } = failure.data;
    switch (code) {
      case 'UNAUTHORIZED':
        throw new PerijoveError('NODE_AUTH_FAILED', `the node at ${base} rejected the token`, at);
      case 'STALE_GENERATION':
        throw new PerijoveError('STALE_GENERATION', `the node at ${base}: ${message}`, at);
      default:
        throw new PerijoveError(
          'NODE_REFUSED',
          `the node at ${base} responded with status ${status}: ${message}`,
          at,
        );
    }
  };

  return {
    status: (options = {}) => call(nodeStatusSchema, '/status', undefined, options),
    orderJupyter: (order, { waitMs = 0, timeoutMs = 2_000, ...options } = {}) =>
      call(jupyterStatusSchema, `/jupyter?wait=${waitMs}`, order, {
        ...options,
        timeoutMs: waitMs + timeoutMs,
      }),
    orderHosts: (order, options = {}) => call(hostsStatusSchema, '/hosts', order, options),
    retire: (order, options = {}) => call(retiredSchema, '/retire', order, options),
  };
}
