import type { Server } from 'node:http';
import type { Logger } from 'pino';
import { jsonServer, Refusal, type Tokens } from '../../net/json-server.js';
import {
  hostsOrderSchema,
  jupyterOrderSchema,
  longestWaitMs,
  retireOrderSchema,
  type HostsOrder,
  type HostsStatus,
  type JupyterOrder,
  type JupyterStatus,
  type NodeFailure,
  type NodeStatus,
  type Retired,
  type RetireOrder,
} from '../api.js';
import {
  endOfPlacementSchema,
  kernelRoutes,
  nodeKernelRoutes,
  placeOrderSchema,
  stopKernelSchema,
  type EndOfPlacement,
  type NodeKernels,
  type StopKernel,
  type Placed,
  type PlaceOrder,
  type Room,
} from '../kernels.js';

/** The operations of the control API. A refused order rejects with a `refusal`. */
export interface NodeControl {
  status(): Promise<NodeStatus>;
  jupyter(order: JupyterOrder, waitMs: number): Promise<JupyterStatus>;
  hosts(order: HostsOrder): Promise<HostsStatus>;
  retire(order: RetireOrder): Promise<Retired>;
}

/** What proxies ask about kernels, with a token of their own. */
export interface KernelControl {
  readonly tokens: Tokens;
  room(): Promise<Room>;
  place(order: PlaceOrder): Placed;
  placed(order: EndOfPlacement): void;
}

/** What operators ask about them, with the token of the control API. */
export interface KernelOperations {
  /** Refuses with FAILED if Jupyter does not say. */
  kernels(): Promise<NodeKernels>;
  /** Ends a kernel and its session. Refuses with NOT_FOUND for a kernel of another node. */
  stopKernel(order: StopKernel): Promise<NodeKernels>;
}

/** A response other than 200, for an order to throw. */
export function refusal(status: number, failure: NodeFailure): Refusal<NodeFailure> {
  return new Refusal(status, failure);
}

const longestBodyBytes = 256 * 1024;

/**
 * The control API over HTTP, which accepts `tokens` as they are at each request; see `NodeControl` for its operations, and
 * `KernelControl`.
 */
export function controlServer(
  control: NodeControl,
  tokens: Tokens,
  logger: Logger,
  kernels?: KernelControl & KernelOperations,
): Server {
  const room = `GET ${kernelRoutes.room}`;
  const place = `POST ${kernelRoutes.place}`;
  const placed = `POST ${kernelRoutes.placed}`;
  return jsonServer({
    tokens,
    longestBodyBytes,
    logger,
    ...(kernels && {
      otherTokens: Object.fromEntries([room, place, placed].map((route) => [route, kernels.tokens])),
    }),
    routes: {
      ...(kernels && {
        [room]: () => kernels.room(),
        [place]: async ({ order }) => kernels.place(await order(placeOrderSchema)),
        [placed]: async ({ order }) => {
          kernels.placed(await order(endOfPlacementSchema));
          return {};
        },
        [`GET ${nodeKernelRoutes.list}`]: () => kernels.kernels(),
        [`PUT ${nodeKernelRoutes.stop}`]: async ({ order }) =>
          kernels.stopKernel(await order(stopKernelSchema)),
      }),
      'GET /status': () => control.status(),
      'PUT /jupyter': async ({ order, query }) =>
        control.jupyter(await order(jupyterOrderSchema), readWait(query)),
      'PUT /hosts': async ({ order }) => control.hosts(await order(hostsOrderSchema)),
      'PUT /retire': async ({ order }) => control.retire(await order(retireOrderSchema)),
    },
  });
}

function readWait(query: URLSearchParams): number {
  const text = query.get('wait') ?? '0';
  if (!/^\d{1,9}$/.test(text)) {
    throw refusal(400, { code: 'BAD_REQUEST', message: '`wait` is a number of milliseconds' });
  }
  return Math.min(Number(text), longestWaitMs);
}
