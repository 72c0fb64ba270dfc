import type * as z from 'zod';
import { PerijoveError } from '../errors/error.js';
import { jsonClient, type CallOptions } from '../net/json-client.js';
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
import { nodeKernelRoutes, nodeKernelsSchema, type NodeKernels, type StopKernel } from './kernels.js';

const defaultTimeoutMs = 2_000;

/**
 * The control API of one node. By default a call may take 2 s, on top of what it waits for. Every call throws
 * NODE_UNREACHABLE when no response came in time, NODE_AUTH_FAILED when the token was refused, and
 * NODE_REFUSED for other refusals.
 */
export interface NodeClient {
  status(options?: CallOptions): Promise<NodeStatus>;
  /**
   * Orders this node to serve, or not to. With `waitMs` the response comes when it is done (Jupyter ready and
   * the gate open; or the gate shut, and a cold Jupyter stopped), or when the time is over: read `state` and
   * `gate`. Throws STALE_GENERATION when the node knows a higher one.
   */
  orderJupyter(
    order: JupyterOrder,
    options?: CallOptions & { readonly waitMs?: number },
  ): Promise<JupyterStatus>;
  /** Replaces our lines of the node's hosts file. Throws STALE_GENERATION when the node knows a higher one. */
  orderHosts(order: HostsOrder, options?: CallOptions): Promise<HostsStatus>;
  /**
   * The node does not join etcd again in this life. Its member works until it is removed. Throws NODE_REFUSED
   * when the node is another task by now.
   */
  retire(order: RetireOrder, options?: CallOptions): Promise<Retired>;
  /** Throws NODE_REFUSED when its Jupyter does not answer, or when the node has no door to its kernels yet. */
  kernels(options?: CallOptions): Promise<NodeKernels>;
  /** Ends a kernel and its session; resolves to those that are left. Throws NODE_REFUSED if the node has no such one. */
  stopKernel(order: StopKernel, options?: CallOptions): Promise<NodeKernels>;
}

export function nodeClient(
  endpoint: { readonly host: string; readonly port: number },
  token: string,
): NodeClient {
  const base = `http://${endpoint.host}:${endpoint.port}`;
  const at = { subject: base };
  const unreachable = (why: string, cause?: unknown) =>
    new PerijoveError('NODE_UNREACHABLE', `the node at ${base} does not answer: ${why}`, { ...at, cause });
  const ask = jsonClient({ base, token, timeoutMs: defaultTimeoutMs, unreachable });
  const call = async <Answer>(
    answer: z.ZodType<Answer>,
    path: string,
    order: unknown,
    options: CallOptions,
  ): Promise<Answer> => {
    const { status, body } = await ask(path, options, order);
    if (body === undefined) throw unreachable('what answers there is not a node');
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
    orderJupyter: (order, { waitMs = 0, timeoutMs = defaultTimeoutMs, ...options } = {}) =>
      call(jupyterStatusSchema, `/jupyter?wait=${waitMs}`, order, {
        ...options,
        timeoutMs: waitMs + timeoutMs,
      }),
    orderHosts: (order, options = {}) => call(hostsStatusSchema, '/hosts', order, options),
    retire: (order, options = {}) => call(retiredSchema, '/retire', order, options),
    kernels: (options = {}) => call(nodeKernelsSchema, nodeKernelRoutes.list, undefined, options),
    stopKernel: (order, options = {}) => call(nodeKernelsSchema, nodeKernelRoutes.stop, order, options),
  };
}
