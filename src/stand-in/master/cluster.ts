import {
  isTerminal,
  type FrameworkInfo,
  type MaintenanceWindow,
  type SchedulerEvent,
  type TaskInfo,
  type TaskState,
  type TaskStatus,
} from '../messages.js';
import type { AgentInfo, ToAgent } from '../protocol.js';
import { add, fromApi, noResources, subtract, sum, type Resources } from '../resources.js';
import type { OfferFilter } from './allocator.js';
import type { RegistryAgent } from './registry.js';

/** The event stream of a framework. */
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
  /** The latest state on the agent; the framework may not have received it yet. */
  state: TaskState;
  /** The last update forwarded to the framework, which acknowledges it. */
  forwarded?: { readonly state: TaskState; readonly uuid: string };
  /** Oldest first. */
  statuses: TaskStatus[];
}

export interface Agent {
  readonly id: string;
  info: AgentInfo;
  /** Undefined while the agent is disconnected. */
  link: AgentLink | undefined;
  readonly registeredAt: number;
  reregisteredAt: number | undefined;
  /** By `taskKey`. */
  readonly tasks: Map<string, Task>;
  /** Kills requested while the agent was disconnected, by `taskKey`; sent when it re-registers. */
  readonly pendingKills: Set<string>;
  /** Consecutive pings without an answer. */
  missedPings: number;
  answeredPing: boolean;
}

export interface UnreachableAgent {
  readonly hostname: string;
  /** Milliseconds since 1970. */
  readonly at: number;
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
  /** Undefined while the framework is disconnected. */
  stream: SchedulerStream | undefined;
  /** Known only from an agent that re-registered after a master failover. */
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
  /** Oldest first. */
  completedTasks: Task[];
}

/** The state of the leading master: agents, frameworks and offers, by ID. */
export class Cluster {
  readonly agents = new Map<string, Agent>();
  /** Agents in the registry that have not re-registered with this master. */
  readonly recoveredAgents = new Map<string, RegistryAgent>();
  readonly unreachableAgents = new Map<string, UnreachableAgent>();
  readonly frameworks = new Map<string, Framework>();
  /** Oldest first. */
  readonly completedFrameworks: Framework[] = [];
  readonly offers = new Map<string, LiveOffer>();
  /** The schedule of maintenance. */
  windows: readonly MaintenanceWindow[] = [];

  isCompleted(frameworkId: string): boolean {
    return this.completedFrameworks.some(({ id }) => id === frameworkId);
  }

  offersTo(frameworkId: string): LiveOffer[] {
    return [...this.offers.values()].filter((offer) => offer.frameworkId === frameworkId);
  }

  offersOf(agentId: string): LiveOffer[] {
    return [...this.offers.values()].filter((offer) => offer.agentId === agentId);
  }
}

export function taskKey(frameworkId: string, taskId: string): string {
  return `${frameworkId}/${taskId}`;
}

export function isPartitionAware({ info }: Pick<Framework, 'info'>): boolean {
  return info.capabilities.some(({ type }) => type === 'PARTITION_AWARE');
}

export function agentTotal(agent: Agent): Resources {
  return fromApi(agent.info.resources);
}

export function totalOf(agents: readonly Agent[]): Resources {
  return agents.reduce((total, agent) => add(total, agentTotal(agent)), noResources);
}

/** The resources of all tasks that are not terminal. */
export function usedBy(tasks: Iterable<Task>): Resources {
  return sum([...tasks].filter((task) => !isTerminal(task.state)).map((task) => task.resources));
}

export function offered(offers: readonly LiveOffer[]): Resources {
  return sum(offers.map(({ resources }) => resources));
}

/** @param offers those of this agent */
export function freeOf(agent: Agent, offers: readonly LiveOffer[]): Resources {
  return subtract(subtract(agentTotal(agent), usedBy(agent.tasks.values())), offered(offers));
}
