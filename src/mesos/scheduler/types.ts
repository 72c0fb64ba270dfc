/** The part of Mesos' v1 scheduler API that Perijove reads and writes, as JSON. Drops unknown fields. */
import * as z from 'zod';
import { PerijoveError } from '../../errors/error.js';

const id = z.object({ value: z.string() });

const resourceSchema = z.object({
  name: z.string(),
  type: z.string(),
  role: z.string().optional(),
  scalar: z.object({ value: z.number() }).optional(),
  /** Only its presence matters: such a resource may be revoked at any time. */
  revocable: z.unknown().optional(),
});
export type Resource = z.infer<typeof resourceSchema>;

const attributeSchema = z.object({
  name: z.string(),
  text: z.object({ value: z.string() }).optional(),
});

const offerSchema = z.object({
  id,
  agent_id: id,
  hostname: z.string(),
  url: z.object({ address: z.object({ ip: z.string().optional(), port: z.number() }).optional() }).optional(),
  attributes: z.array(attributeSchema).default([]),
  resources: z.array(resourceSchema).default([]),
});

const statusSchema = z.object({
  task_id: id,
  state: z.templateLiteral(['TASK_', z.string()]),
  agent_id: id.optional(),
  message: z.string().optional(),
  reason: z.string().optional(),
  source: z.string().optional(),
  /** Base64, 16 bytes; only updates with a UUID are acknowledged. */
  uuid: z.string().optional(),
});

/** Free resources of an agent, offered to us. */
export interface Offer {
  readonly id: string;
  readonly agentId: string;
  readonly hostname: string;
  /** IPv4 address and port of the agent, if the master reports them. */
  readonly address?: { readonly ip: string; readonly port: number };
  /** Attributes of type TEXT. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly resources: readonly Resource[];
}

export interface TaskStatus {
  readonly taskId: string;
  readonly state: `TASK_${string}`;
  readonly agentId?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly uuid?: string;
}

/** A request to leave an agent before its maintenance. */
export interface InverseOffer {
  readonly id: string;
  /** Absent: all of the framework's resources on the machine. */
  readonly agentId?: string;
}

export type SchedulerEvent =
  | {
      readonly kind: 'subscribed';
      readonly frameworkId: string;
      readonly heartbeatMs: number;
      /** ID of the master, as in its znode. */
      readonly masterId?: string;
    }
  | { readonly kind: 'offers'; readonly offers: readonly Offer[] }
  | { readonly kind: 'rescind'; readonly offerId: string }
  | { readonly kind: 'update'; readonly status: TaskStatus }
  | { readonly kind: 'error'; readonly message: string }
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'inverse-offers'; readonly offers: readonly InverseOffer[] }
  /** An event that Perijove does not use: FAILURE, MESSAGE, those of later versions. */
  | { readonly kind: 'other'; readonly type: string };

/** Used if the response has no heartbeat interval (Mesos before 1.0): that of every later release. */
const defaultHeartbeatSeconds = 15;

const eventSchemas = {
  SUBSCRIBED: z.object({
    subscribed: z.object({
      framework_id: id,
      heartbeat_interval_seconds: z.number().positive().default(defaultHeartbeatSeconds),
      master_info: z.object({ id: z.string() }).optional(),
    }),
  }),
  OFFERS: z.object({ offers: z.object({ offers: z.array(offerSchema).default([]) }) }),
  RESCIND: z.object({ rescind: z.object({ offer_id: id }) }),
  INVERSE_OFFERS: z.object({
    inverse_offers: z.object({
      inverse_offers: z.array(z.object({ id, agent_id: id.optional() })).default([]),
    }),
  }),
  UPDATE: z.object({ update: z.object({ status: statusSchema }) }),
  ERROR: z.object({ error: z.object({ message: z.string() }) }),
};

/**
 * One record of the event stream.
 *
 * @throws PerijoveError MESOS_BAD_STREAM when it is not JSON, or an event without its required fields
 */
export function parseEvent(record: string): SchedulerEvent {
  try {
    return eventOf(JSON.parse(record));
  } catch (cause) {
    throw new PerijoveError(
      'MESOS_BAD_STREAM',
      `the Mesos master sent an event that cannot be parsed: ${record.slice(0, 200)}`,
      { cause },
    );
  }
}

function eventOf(json: unknown): SchedulerEvent {
  const { type } = z.object({ type: z.string() }).parse(json);
  switch (type) {
    case 'SUBSCRIBED': {
      const { subscribed } = eventSchemas.SUBSCRIBED.parse(json);
      return {
        kind: 'subscribed',
        frameworkId: subscribed.framework_id.value,
        heartbeatMs: subscribed.heartbeat_interval_seconds * 1_000,
        ...(subscribed.master_info === undefined ? {} : { masterId: subscribed.master_info.id }),
      };
    }
    case 'OFFERS':
      return { kind: 'offers', offers: eventSchemas.OFFERS.parse(json).offers.offers.map(offerOf) };
    case 'RESCIND':
      return { kind: 'rescind', offerId: eventSchemas.RESCIND.parse(json).rescind.offer_id.value };
    case 'INVERSE_OFFERS': {
      const { inverse_offers: offers } = eventSchemas.INVERSE_OFFERS.parse(json).inverse_offers;
      return {
        kind: 'inverse-offers',
        offers: offers.map(({ id: { value }, agent_id: agent }) => ({
          id: value,
          ...(agent !== undefined && { agentId: agent.value }),
        })),
      };
    }
    case 'UPDATE':
      return { kind: 'update', status: statusOf(eventSchemas.UPDATE.parse(json).update.status) };
    case 'ERROR':
      return { kind: 'error', message: eventSchemas.ERROR.parse(json).error.message };
    case 'HEARTBEAT':
      return { kind: 'heartbeat' };
    default:
      return { kind: 'other', type };
  }
}

function offerOf(offer: z.infer<typeof offerSchema>): Offer {
  const address = offer.url?.address;
  return {
    id: offer.id.value,
    agentId: offer.agent_id.value,
    hostname: offer.hostname,
    ...(address?.ip === undefined ? {} : { address: { ip: address.ip, port: address.port } }),
    attributes: Object.fromEntries(
      offer.attributes.flatMap(({ name, text }) => (text === undefined ? [] : [[name, text.value]])),
    ),
    resources: offer.resources,
  };
}

function statusOf(status: z.infer<typeof statusSchema>): TaskStatus {
  const { message, reason, uuid } = status;
  return {
    taskId: status.task_id.value,
    state: status.state,
    ...(status.agent_id === undefined ? {} : { agentId: status.agent_id.value }),
    ...(message === undefined ? {} : { message }),
    ...(reason === undefined ? {} : { reason }),
    ...(uuid === undefined ? {} : { uuid }),
  };
}

/** A scalar resource that a task uses. */
export interface ResourceRequest {
  readonly name: string;
  readonly type: 'SCALAR';
  readonly scalar: { readonly value: number };
  readonly role: string;
}

export interface Label {
  readonly key: string;
  readonly value: string;
}

/** `FrameworkInfo` as it is sent. */
export interface FrameworkInfo {
  readonly user: string;
  readonly name: string;
  readonly role: string;
  /** Seconds. */
  readonly failover_timeout: number;
  readonly checkpoint: boolean;
  readonly hostname: string;
  readonly principal?: string;
  readonly capabilities: readonly { readonly type: string }[];
  readonly labels: { readonly labels: readonly Label[] };
}

/** `TaskInfo` as it is sent. */
export interface TaskInfo {
  readonly name: string;
  readonly task_id: { readonly value: string };
  readonly agent_id: { readonly value: string };
  readonly resources: readonly ResourceRequest[];
  readonly command: {
    readonly shell: boolean;
    readonly value: string;
    readonly user?: string;
    readonly environment: {
      readonly variables: readonly { readonly name: string; readonly value: string }[];
    };
  };
  readonly container?: Readonly<Record<string, unknown>>;
  readonly kill_policy: { readonly grace_period: { readonly nanoseconds: number } };
  readonly labels: { readonly labels: readonly Label[] };
}
