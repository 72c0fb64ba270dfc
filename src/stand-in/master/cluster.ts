import type { OfferFilter } from './allocator.js';
import {
  isTerminal,
  type FrameworkInfo,
  type SchedulerEvent,
  type TaskInfo,
  type TaskState,
  type TaskStatus,
} from '../messages.js';
import type { AgentInfo, ToAgent } from '../protocol.js';
import { fromApi, subtract, sum, type Resources } from '../resources.js';

/** A framework's event stream. */
export interface SchedulerStream {
  /** `Mesos-Stream-Id` */
  readonly id: string;
  send(event: SchedulerEvent): void;
  close(): void;
}

/** The connection that an agent keeps to the master. */
export interface AgentLink {
  send(message: ToAgent): void;
  close(): void;
}

export interface Task {
  readonly frameworkId: string;
  readonly agentId: string;
  readonly info: TaskInfo;
  readonly resources: Resources;
  /** The newest, as the agent has it. */
  state: TaskState;
  /** What the framework was told last, and is to acknowledge. */
  told?: { readonly state: TaskState; readonly uuid: string };
  statuses: TaskStatus[];
}

export interface Agent {
  readonly id: string;
  info: AgentInfo;
  link: AgentLink | undefined;
  readonly registeredAt: number;
  reregisteredAt: number | undefined;
  readonly tasks: Map<string, Task>;
  /** Tasks that a framework wanted killed, for an agent that did not hear of it. */
  readonly killed: Map<string, { readonly frameworkId: string; readonly taskId: string }>;
  /** Pings in a row without an answer. */
  missedPings: number;
  heard: boolean;
}

export interface LiveOffer {
  readonly id: string;
  readonly frameworkId: string;
  readonly agentId: string;
  readonly resources: Resources;
  readonly expiry: NodeJS.Timeout | undefined;
}

export interface Framework {
  readonly id: string;
  info: FrameworkInfo;
  stream: SchedulerStream | undefined;
  /** Known only from an agent that came back after a change of leader. */
  recovered: boolean;
  suppressed: boolean;
  registeredAt: number;
  reregisteredAt: number;
  unregisteredAt?: number;
  filters: OfferFilter[];
  heartbeat: NodeJS.Timeout | undefined;
  failover: NodeJS.Timeout | undefined;
  readonly tasks: Map<string, Task>;
  readonly unreachableTasks: Map<string, Task>;
  /** Newest last. */
  completedTasks: Task[];
}

export function taskKey(frameworkId: string, taskId: string): string {
  return `${frameworkId}/${taskId}`;
}

export function isPartitionAware({ info }: Framework): boolean {
  return info.capabilities.some(({ type }) => type === 'PARTITION_AWARE');
}

export function agentTotal(agent: Agent): Resources {
  return fromApi(agent.info.resources);
}

/** What its tasks hold until they have ended. */
export function usedBy(tasks: Iterable<Task>): Resources {
  return sum([...tasks].filter((task) => !isTerminal(task.state)).map((task) => task.resources));
}

export function freeOf(agent: Agent, offers: Iterable<LiveOffer>): Resources {
  const offered = [...offers].filter((offer) => offer.agentId === agent.id).map((offer) => offer.resources);
  return subtract(subtract(agentTotal(agent), usedBy(agent.tasks.values())), sum(offered));
}
