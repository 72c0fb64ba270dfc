/** The requests and responses of `perijove-node` on its control port. */
import * as z from 'zod';

const generation = z.int().min(0);

export const jupyterStates = ['stopped', 'starting', 'ready', 'stopping'] as const;
export type JupyterState = (typeof jupyterStates)[number];

/**
 * An open gate answers `GET gatePath`, without a token; a closed one refuses connections. It must be the
 * first request of its connection, which further ones may follow, because data for Jupyter are not parsed.
 * The connection ends when the gate shuts.
 */
export const gatePath = '/.perijove/gate';

export const gateStatusSchema = z.object({
  node: z.string(),
  open: z.boolean(),
  /** It is open, and shuts soon unless leadership returns: find another one now. */
  closing: z.boolean(),
  /** Epoch and raft term (`termIn`) of the leadership that opened it; if the keeper's order did, the order's. */
  term: z.int().min(0),
  /** The highest generation in any order to the node. */
  generation,
});
export type GateStatus = Readonly<z.infer<typeof gateStatusSchema>>;

/** Kernels that ended with an earlier life of their node. `at`: when the node was started again, ISO 8601. */
export const lostKernelsSchema = z.object({
  at: z.iso.datetime(),
  kernels: z.int().min(1),
  /** Paths below the root of Jupyter; the first 20. */
  notebooks: z.array(z.string()),
});
export type LostKernels = Readonly<z.infer<typeof lostKernelsSchema>>;

export const jupyterStatusSchema = z.object({
  state: z.enum(jupyterStates),
  /** Generation of the current order. */
  generation,
  /** Whether the keeper wants users on this node. */
  serve: z.boolean(),
  gate: gateStatusSchema.pick({ open: true, closing: true, term: true }),
  /** From the start of the current Jupyter process to its first response, once it is ready. */
  startMs: z.number().optional(),
  /** Number of kernels, as Jupyter last reported it; absent while it is not ready, and from an earlier release. */
  kernels: z.int().min(0).optional(),
  /** Absent if none is known. */
  lost: lostKernelsSchema.optional(),
});
export type JupyterStatus = Readonly<z.infer<typeof jupyterStatusSchema>>;

/** `digest` is `hostsDigest` of the current hosts file. */
export const hostsStatusSchema = z.object({ generation, digest: z.string() });
export type HostsStatus = Readonly<z.infer<typeof hostsStatusSchema>>;

export const nodeStatusSchema = z.object({
  node: z.string(),
  /** The highest generation in any order to the node. */
  generation,
  etcd: z.object({
    /** `waiting`: not started, for `reason`. `starting`: the process runs and has no leader yet. */
    state: z.enum(['waiting', 'starting', 'running', 'down']),
    /** Unsigned 64-bit, in decimal. */
    memberId: z.string().optional(),
    /** Whether it has a data directory; absent from nodes of an earlier release. */
    hasData: z.boolean().optional(),
    reason: z.string().optional(),
    /** etcd's last message if it exited and does not run again yet. */
    trouble: z.string().optional(),
    /** When and why its damaged data was last moved aside, after which it rejoins as a new member. ISO 8601. */
    replaced: z.object({ at: z.string(), why: z.string() }).optional(),
  }),
  jupyter: jupyterStatusSchema,
  hosts: hostsStatusSchema,
});
export type NodeStatus = Readonly<z.infer<typeof nodeStatusSchema>>;

/**
 * Whether this node should serve users. With `standby: cold` Jupyter runs only while it should; with `warm`
 * it always runs. It also opens the gate, except where nodes have reflexes.
 */
export const jupyterOrderSchema = z.strictObject({
  generation,
  /** Epoch and raft term (`termIn`) of the verdict. */
  term: z.int().min(0),
  serve: z.boolean(),
});
export type JupyterOrder = Readonly<z.infer<typeof jupyterOrderSchema>>;

export const hostsEntrySchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i),
  address: z.ipv4(),
});
export type HostsEntry = Readonly<z.infer<typeof hostsEntrySchema>>;

export const hostsOrderSchema = z.strictObject({ generation, entries: z.array(hostsEntrySchema).max(1024) });
export type HostsOrder = Readonly<z.infer<typeof hostsOrderSchema>>;

/** The node's member must leave etcd. An order to an earlier task of the node is refused. */
export const retireOrderSchema = z.strictObject({ task: z.string().min(1) });
export type RetireOrder = Readonly<z.infer<typeof retireOrderSchema>>;

/** `memberId`: the member to remove; unsigned 64-bit, in decimal. Absent if the node has had none. */
export const retiredSchema = z.object({ memberId: z.string().optional() });
export type Retired = Readonly<z.infer<typeof retiredSchema>>;

export const nodeFailureSchema = z.object({
  code: z.enum(['BAD_REQUEST', 'UNAUTHORIZED', 'NOT_FOUND', 'STALE_GENERATION', 'TOO_LARGE', 'FAILED']),
  message: z.string(),
  /** With STALE_GENERATION: the generation that the node has. */
  generation: generation.optional(),
});
export type NodeFailure = Readonly<z.infer<typeof nodeFailureSchema>>;

/** The longest `?wait=`, in ms: longer waits are reduced to it. */
export const longestWaitMs = 60_000;
