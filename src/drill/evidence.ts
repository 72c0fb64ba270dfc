/** The evidence of a drill. `perijove drill report` prints it as JSON, so its schema is a contract. */
import * as z from 'zod';

/** Milliseconds after the fault; negative before it. */
const ms = z.number();

export const spanStates = ['ok', 'failed', 'gap'] as const;

/** A time in which all probes had the same result; `gap`: no probes, because the probing worker was gone. */
export const spanSchema = z.object({
  from: ms,
  to: ms,
  state: z.enum(spanStates),
  /** Number of probes; 0 for a gap. */
  probes: z.int().min(0),
  /** Reason of a failure. */
  why: z.string().optional(),
});
export type Span = Readonly<z.infer<typeof spanSchema>>;

export const eventKinds = [
  'fault',
  /** etcd has a leader, or another one. */
  'leader',
  'no-leader',
  /** Port 8888 of a node answers: its Jupyter is ready and its gate open. */
  'serving',
  'silent',
  'zookeeper',
  /** A Mesos master leads, or none does. */
  'mesos-leader',
  'mesos-no-leader',
  /** A Mesos master follows another one, reports something, or is silent. */
  'master',
  'master-silent',
  /** A Mesos agent is registered, or missing at its master. */
  'agent',
  'agent-lost',
  'task',
  /** Another worker runs the scheduler or the watch. */
  'worker',
  'healed',
  'whole',
] as const;

export const eventSchema = z.object({
  at: ms,
  kind: z.enum(eventKinds),
  /** Name of the node, host or worker. */
  subject: z.string().optional(),
  /** Epoch and raft term (`termIn`), of a leader. */
  term: z.int().optional(),
  /** Human-readable: a sentence without its full stop. */
  what: z.string(),
});
export type DrillEvent = Readonly<z.infer<typeof eventSchema>>;

export const laneSchema = z.object({
  /** Name of the host whose port 8888 was probed. */
  host: z.string(),
  http: z.array(spanSchema),
  websocket: z.array(spanSchema),
});
export type Lane = Readonly<z.infer<typeof laneSchema>>;

export const hostMeasureSchema = z.object({
  host: z.string(),
  failedRequests: z.int(),
  /** From the fault until it answered for good; 0 when it never failed, null when it did not return. */
  backMs: ms.nullable(),
  /** The longest time without an answer. */
  longestMs: ms,
  /** The websocket was disconnected. */
  cut: z.boolean(),
});
export type HostMeasure = Readonly<z.infer<typeof hostMeasureSchema>>;

export const invariantSchema = z.object({
  name: z.enum([
    ...['serving', 'routes', 'etcd', 'mesos', 'nodes', 'tasks', 'master', 'notebooks', 'storage'],
    ...['kernels', 'lists', 'closed', 'outputs'],
  ] as const),
  /** Null: it is not known. */
  holds: z.boolean().nullable(),
  /** What was observed. */
  what: z.string(),
});
export type Invariant = Readonly<z.infer<typeof invariantSchema>>;

export const evidenceSchema = z.object({
  version: z.literal(1),
  cluster: z.string(),
  number: z.int(),
  drill: z.string(),
  /** The target: a node, host or worker. */
  target: z.string(),
  standby: z.string(),
  /** Seed of its random series. */
  seed: z.string().optional(),
  /** ISO 8601. */
  startedAt: z.string(),
  /** ISO 8601: zero of all other times. */
  faultAt: z.string(),
  budgetMs: z.number(),
  /** Hosts through which requests may fail meanwhile. */
  mayFail: z.array(z.string()),
  lanes: z.array(laneSchema),
  events: z.array(eventSchema),
  measures: z.object({
    electedMs: ms.nullable(),
    readyMs: ms.nullable(),
    hosts: z.array(hostMeasureSchema),
    /** When the last thing the drill waits for was back. */
    recoveredMs: ms.nullable(),
    healedMs: ms.nullable(),
    /** When the cluster was healthy again. */
    wholeMs: ms.nullable(),
  }),
  invariants: z.array(invariantSchema),
  verdict: z.object({ passed: z.boolean(), reasons: z.array(z.string()) }),
});
export type Evidence = Readonly<z.infer<typeof evidenceSchema>>;
