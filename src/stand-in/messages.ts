import {
  anything,
  boolean,
  message,
  number,
  oneOf,
  optional,
  repeated,
  required,
  string,
  type Read,
} from './proto.js';
import { resourceKind } from './resources.js';

/** The messages of the v1 scheduler and operator APIs, as far as the stand-in supports them. */

const id = message({ value: required(string) });
export type Id = Read<typeof id>;

export const taskStates = [
  'TASK_STAGING',
  'TASK_STARTING',
  'TASK_RUNNING',
  'TASK_KILLING',
  'TASK_FINISHED',
  'TASK_FAILED',
  'TASK_KILLED',
  'TASK_ERROR',
  'TASK_LOST',
  'TASK_DROPPED',
  'TASK_UNREACHABLE',
  'TASK_GONE',
  'TASK_GONE_BY_OPERATOR',
  'TASK_UNKNOWN',
] as const;
export type TaskState = (typeof taskStates)[number];

const terminal: ReadonlySet<string> = new Set([
  'TASK_FINISHED',
  'TASK_FAILED',
  'TASK_KILLED',
  'TASK_ERROR',
  'TASK_LOST',
  'TASK_DROPPED',
  'TASK_GONE',
  'TASK_GONE_BY_OPERATOR',
]);

export function isTerminal(state: TaskState): boolean {
  return terminal.has(state);
}

const labels = message({
  labels: repeated(message({ key: required(string), value: optional(string) })),
});

export const frameworkInfoKind = message({
  user: required(string),
  name: required(string),
  id: optional(id),
  failover_timeout: optional(number),
  checkpoint: optional(boolean),
  role: optional(string),
  roles: repeated(string),
  hostname: optional(string),
  principal: optional(string),
  webui_url: optional(string),
  capabilities: repeated(message({ type: optional(string) })),
  labels: optional(labels),
});
export type FrameworkInfo = Read<typeof frameworkInfoKind>;

const environment = message({
  variables: repeated(message({ name: required(string), value: optional(string) })),
});

const commandInfo = message({
  value: optional(string),
  shell: optional(boolean),
  arguments: repeated(string),
  environment: optional(environment),
  user: optional(string),
  uris: repeated(anything),
});
export type CommandInfo = Read<typeof commandInfo>;

const containerInfo = message({
  type: required(oneOf('DOCKER', 'MESOS')),
  volumes: repeated(
    message({
      container_path: required(string),
      host_path: optional(string),
      mode: required(oneOf('RW', 'RO')),
    }),
  ),
  hostname: optional(string),
  docker: optional(
    message({
      image: required(string),
      network: optional(oneOf('HOST', 'BRIDGE', 'NONE', 'USER')),
      privileged: optional(boolean),
      parameters: repeated(message({ key: required(string), value: required(string) })),
    }),
  ),
  network_infos: repeated(message({ name: optional(string) })),
});

const killPolicy = message({
  grace_period: optional(message({ nanoseconds: required(number) })),
});

export const taskInfoKind = message({
  name: required(string),
  task_id: required(id),
  agent_id: required(id),
  resources: repeated(resourceKind),
  command: optional(commandInfo),
  executor: optional(anything),
  container: optional(containerInfo),
  kill_policy: optional(killPolicy),
  labels: optional(labels),
  discovery: optional(anything),
});
export type TaskInfo = Read<typeof taskInfoKind>;

export const taskStatusKind = message({
  task_id: required(id),
  state: required(oneOf(...taskStates)),
  message: optional(string),
  source: optional(oneOf('SOURCE_MASTER', 'SOURCE_AGENT', 'SOURCE_EXECUTOR')),
  reason: optional(string),
  agent_id: optional(id),
  executor_id: optional(id),
  timestamp: optional(number),
  uuid: optional(string),
  healthy: optional(boolean),
  container_status: optional(anything),
  unreachable_time: optional(message({ nanoseconds: required(number) })),
});
export type TaskStatus = Read<typeof taskStatusKind>;

const filters = message({ refuse_seconds: optional(number) });
export type Filters = Read<typeof filters>;

const nanoseconds = message({ nanoseconds: required(number) });

const unavailability = message({ start: required(nanoseconds), duration: optional(nanoseconds) });
export type Unavailability = Read<typeof unavailability>;

/** Of the schedule of maintenance (maintenance.proto). */
export const maintenanceWindowKind = message({
  machine_ids: repeated(message({ hostname: optional(string), ip: optional(string) })),
  unavailability: required(unavailability),
});
export type MaintenanceWindow = Read<typeof maintenanceWindowKind>;

export const maintenanceScheduleKind = message({ windows: repeated(maintenanceWindowKind) });

const inverseAnswer = message({ inverse_offer_ids: repeated(id), filters: optional(filters) });

export const schedulerCallKind = message({
  type: optional(
    oneOf(
      'SUBSCRIBE',
      'TEARDOWN',
      'ACCEPT',
      'DECLINE',
      'ACCEPT_INVERSE_OFFERS',
      'DECLINE_INVERSE_OFFERS',
      'REVIVE',
      'SUPPRESS',
      'KILL',
      'SHUTDOWN',
      'ACKNOWLEDGE',
      'RECONCILE',
      'MESSAGE',
      'REQUEST',
    ),
  ),
  framework_id: optional(id),
  subscribe: optional(message({ framework_info: required(frameworkInfoKind) })),
  accept: optional(
    message({
      offer_ids: repeated(id),
      operations: repeated(
        message({
          type: required(oneOf('LAUNCH', 'LAUNCH_GROUP', 'RESERVE', 'UNRESERVE', 'CREATE', 'DESTROY')),
          launch: optional(message({ task_infos: repeated(taskInfoKind) })),
          launch_group: optional(
            message({ task_group: required(message({ tasks: repeated(taskInfoKind) })) }),
          ),
        }),
      ),
      filters: optional(filters),
    }),
  ),
  decline: optional(message({ offer_ids: repeated(id), filters: optional(filters) })),
  accept_inverse_offers: optional(inverseAnswer),
  decline_inverse_offers: optional(inverseAnswer),
  kill: optional(
    message({ task_id: required(id), agent_id: optional(id), kill_policy: optional(killPolicy) }),
  ),
  shutdown: optional(message({ executor_id: required(id), agent_id: required(id) })),
  acknowledge: optional(message({ agent_id: required(id), task_id: required(id), uuid: required(string) })),
  reconcile: optional(
    message({ tasks: repeated(message({ task_id: required(id), agent_id: optional(id) })) }),
  ),
  message: optional(anything),
  request: optional(anything),
});
export type SchedulerCall = Read<typeof schedulerCallKind>;

/** Required sections by call type, in the order in which Mesos checks them. */
const sections = {
  ACCEPT: 'accept',
  DECLINE: 'decline',
  ACCEPT_INVERSE_OFFERS: 'accept_inverse_offers',
  DECLINE_INVERSE_OFFERS: 'decline_inverse_offers',
  KILL: 'kill',
  SHUTDOWN: 'shutdown',
  ACKNOWLEDGE: 'acknowledge',
  RECONCILE: 'reconcile',
  MESSAGE: 'message',
  REQUEST: 'request',
} as const;

/** Mesos' text after `Failed to validate scheduler::Call: `; undefined for a valid call. */
export function validateSchedulerCall(call: SchedulerCall): string | undefined {
  const expect = (name: string) => `Expecting '${name}' to be present`;
  if (call.type === undefined) return expect('type');
  if (call.type === 'SUBSCRIBE') {
    if (call.subscribe === undefined) return expect('subscribe');
    const inner = call.subscribe.framework_info.id?.value;
    return inner !== call.framework_id?.value
      ? "'framework_id' differs from 'subscribe.framework_info.id'"
      : undefined;
  }
  if (call.framework_id === undefined) return expect('framework_id');
  const section = Object.entries(sections).find(([type]) => type === call.type)?.[1];
  if (section !== undefined && call[section] === undefined) return expect(section);
  if (call.acknowledge && Buffer.from(call.acknowledge.uuid, 'base64').length !== 16) {
    return 'Not a valid UUID';
  }
  return undefined;
}

/** Calls of the v1 operator API that the stand-in's master supports. */
const answered = [
  'GET_HEALTH',
  'GET_FLAGS',
  'GET_VERSION',
  'GET_METRICS',
  'GET_LOGGING_LEVEL',
  'GET_STATE',
  'GET_AGENTS',
  'GET_FRAMEWORKS',
  'GET_EXECUTORS',
  'GET_TASKS',
  'GET_ROLES',
  'GET_WEIGHTS',
  'GET_MASTER',
  'GET_QUOTA',
  'GET_MAINTENANCE_STATUS',
  'GET_MAINTENANCE_SCHEDULE',
] as const;

/** Calls of Mesos 1.3.2 known only by name; the last ones are for agents. */
const unanswered = [
  'SET_LOGGING_LEVEL',
  'LIST_FILES',
  'READ_FILE',
  'UPDATE_WEIGHTS',
  'SUBSCRIBE',
  'RESERVE_RESOURCES',
  'UNRESERVE_RESOURCES',
  'CREATE_VOLUMES',
  'DESTROY_VOLUMES',
  'UPDATE_MAINTENANCE_SCHEDULE',
  'START_MAINTENANCE',
  'STOP_MAINTENANCE',
  'SET_QUOTA',
  'REMOVE_QUOTA',
  'GET_CONTAINERS',
] as const;

export const operatorCallKind = message({
  type: optional(oneOf(...answered, ...unanswered)),
  get_metrics: optional(anything),
});
export type OperatorCall = Read<typeof operatorCallKind>;
export type AnsweredOperatorCall = (typeof answered)[number];

export function isAnswered(type: NonNullable<OperatorCall['type']>): type is AnsweredOperatorCall {
  return answered.some((each) => each === type);
}

/** A resource offer. */
export interface Offer {
  readonly id: Id;
  readonly framework_id: Id;
  readonly agent_id: Id;
  readonly hostname: string;
  readonly resources: readonly unknown[];
  readonly attributes: readonly unknown[];
  readonly url: unknown;
  readonly unavailability?: Unavailability;
}

export type SchedulerEvent =
  | {
      readonly type: 'SUBSCRIBED';
      readonly subscribed: {
        readonly framework_id: Id;
        readonly heartbeat_interval_seconds: number;
        readonly master_info: unknown;
      };
    }
  | { readonly type: 'OFFERS'; readonly offers: { readonly offers: readonly Offer[] } }
  | {
      readonly type: 'INVERSE_OFFERS';
      readonly inverse_offers: {
        readonly inverse_offers: readonly {
          readonly id: Id;
          readonly agent_id: Id;
          readonly framework_id: Id;
          readonly unavailability: Unavailability;
        }[];
      };
    }
  | {
      readonly type: 'RESCIND_INVERSE_OFFER';
      readonly rescind_inverse_offer: { readonly inverse_offer_id: Id };
    }
  | { readonly type: 'RESCIND'; readonly rescind: { readonly offer_id: Id } }
  | { readonly type: 'UPDATE'; readonly update: { readonly status: TaskStatus } }
  | { readonly type: 'FAILURE'; readonly failure: { readonly agent_id: Id } }
  | { readonly type: 'ERROR'; readonly error: { readonly message: string } }
  | { readonly type: 'HEARTBEAT' };

/** A status generated by the master: it has no `uuid`, so it needs no acknowledgement. */
export function masterStatus(
  state: TaskState,
  taskId: string,
  reason: string,
  text: string,
  more: {
    readonly agentId?: string;
    readonly containerStatus?: unknown;
    readonly unreachableAt?: number;
  } = {},
): TaskStatus {
  return {
    task_id: { value: taskId },
    state,
    reason,
    message: text,
    source: 'SOURCE_MASTER',
    timestamp: Date.now() / 1000,
    ...(more.agentId !== undefined && { agent_id: { value: more.agentId } }),
    ...(more.containerStatus !== undefined && { container_status: more.containerStatus }),
    ...(more.unreachableAt !== undefined && {
      unreachable_time: { nanoseconds: more.unreachableAt * 1_000_000 },
    }),
  };
}
