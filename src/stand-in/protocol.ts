import { attributeKind } from './attributes.js';
import { frameworkInfoKind, taskInfoKind, taskStates, taskStatusKind } from './messages.js';
import { message, number, oneOf, optional, repeated, required, string, type Read } from './proto.js';
import { resourceKind } from './resources.js';

/**
 * Messages between stand-in agents and masters: JSON over one WebSocket that the agent opens. (Mesos uses
 * libprocess messages.) Messages in each direction arrive in order.
 */
export const agentPath = '/stand-in/agent';

const agentInfoKind = message({
  /** Absent at the first registration. */
  id: optional(string),
  hostname: required(string),
  ip: required(string),
  port: required(number),
  version: required(string),
  resources: repeated(resourceKind),
  attributes: repeated(attributeKind),
});
export type AgentInfo = Read<typeof agentInfoKind>;

const taskState = oneOf(...taskStates);

const agentTaskKind = message({
  framework_id: required(string),
  info: required(taskInfoKind),
  /** The newest state, whether or not the framework has received it. */
  state: required(taskState),
  /** All statuses so far, oldest first. */
  statuses: repeated(taskStatusKind),
});
export type AgentTask = Read<typeof agentTaskKind>;

export const fromAgentKind = message({
  type: required(oneOf('REGISTER', 'UPDATE')),
  register: optional(
    message({
      agent: required(agentInfoKind),
      tasks: repeated(agentTaskKind),
      frameworks: repeated(frameworkInfoKind),
    }),
  ),
  update: optional(
    message({
      framework_id: required(string),
      status: required(taskStatusKind),
      latest_state: required(taskState),
    }),
  ),
});
export type FromAgent = Read<typeof fromAgentKind>;
export type Registration = NonNullable<FromAgent['register']>;
export type AgentUpdate = NonNullable<FromAgent['update']>;

export const toAgentKind = message({
  type: required(oneOf('REGISTERED', 'LAUNCH', 'KILL', 'ACKNOWLEDGE', 'SHUTDOWN_FRAMEWORK', 'FRAMEWORK')),
  registered: optional(
    message({
      agent_id: required(string),
      /** After this silence the agent considers the connection lost. */
      silence_ms: required(number),
    }),
  ),
  launch: optional(message({ framework: required(frameworkInfoKind), task: required(taskInfoKind) })),
  kill: optional(
    message({ framework_id: required(string), task_id: required(string), grace_ms: optional(number) }),
  ),
  acknowledge: optional(
    message({ framework_id: required(string), task_id: required(string), uuid: required(string) }),
  ),
  shutdown_framework: optional(message({ framework_id: required(string) })),
  /** The framework has (re-)subscribed: resend its updates now. */
  framework: optional(message({ info: required(frameworkInfoKind) })),
});
export type ToAgent = Read<typeof toAgentKind>;
