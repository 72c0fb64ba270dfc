/**
 * How proxies reach the kernels of a node, whoever serves: at its control port, with `node-kernels-token`. A person's
 * own token is checked by the Jupyter behind it.
 *
 * | request | answer |
 * | --- | --- |
 * | `CONNECT jupyter:80` | 200 and the connection to the node's Jupyter; 503 with `kernelsHeader` if it does not listen |
 * | `GET /kernels/room` | 200 `Room` |
 * | `POST /kernels/place` | of the serving node: 200 `Placed`, for a `PlaceOrder` |
 * | `POST /kernels/placed` | of the serving node: 200 `{}`, once the kernel is there or its creation has failed |
 */
import * as z from 'zod';
import { jupyterStates } from './api.js';

export const jupyterAuthority = 'jupyter:80';

/** Of a node whose Jupyter does not listen: whether it may have kernels all the same. */
export const kernelsHeader = 'x-perijove-kernels';
export type KernelsHeader = 'none' | 'not-known';

/** Of the control API, with its token: what `NodeClient` asks. */
export const nodeKernelRoutes = { list: '/kernels', stop: '/kernels/stop' } as const;

export const kernelRoutes = {
  room: '/kernels/room',
  place: '/kernels/place',
  placed: '/kernels/placed',
} as const;

const count = z.int().min(0);

export const roomSchema = z.object({
  jupyter: z.enum(jupyterStates),
  /** Absent if its Jupyter does not say so in time. */
  kernels: count.optional(),
  /** Memory that a new kernel finds, by the limits of the node. */
  availableBytes: count,
});
/** What a node has for a new kernel. */
export type Room = Readonly<z.infer<typeof roomSchema>>;

export const placeOrderSchema = z.strictObject({
  /** Of the notebook; absent for a kernel without a session. */
  path: z.string().max(4_096).optional(),
  /** The nodes that can take a kernel. */
  rooms: z
    .array(z.strictObject({ node: z.string().min(1), kernels: count, availableBytes: count }))
    .min(1)
    .max(1_024),
});
/** A question to the serving node, which answers all proxies and so gives one notebook one node. */
export type PlaceOrder = Readonly<z.infer<typeof placeOrderSchema>>;

export const placedSchema = z.object({
  node: z.string().min(1),
  /** Somebody else's request creates the notebook's session there right now: look for it again. */
  underWay: z.boolean(),
});
export type Placed = Readonly<z.infer<typeof placedSchema>>;

/** The end of what was placed: the path of its `PlaceOrder`. */
export const endOfPlacementSchema = z.strictObject({ path: z.string().max(4_096) });
export type EndOfPlacement = Readonly<z.infer<typeof endOfPlacementSchema>>;

export const nodeKernelsSchema = z.object({
  kernels: z.array(
    z.object({
      id: z.string(),
      /** Of its specification, such as `python3`. */
      name: z.string(),
      /** Such as `idle` or `busy`. */
      state: z.string(),
      /** ISO 8601. */
      lastActivity: z.string(),
      /** Of the notebook; absent for a kernel without a session. */
      path: z.string().optional(),
    }),
  ),
});
/** The kernels of one node. */
export type NodeKernels = Readonly<z.infer<typeof nodeKernelsSchema>>;
export type NodeKernel = Readonly<NodeKernels['kernels'][number]>;

export const stopKernelSchema = z.strictObject({ id: z.string().min(1).max(256) });
export type StopKernel = Readonly<z.infer<typeof stopKernelSchema>>;
