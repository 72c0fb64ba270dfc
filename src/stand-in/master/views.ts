/** A master's HTTP endpoints for the cluster state. Pure. */
import { attributesToState } from '../attributes.js';
import type { TaskState } from '../messages.js';
import { sum, toApi, toState } from '../resources.js';
import { statusState } from '../status-view.js';
import { versionInfo } from '../version.js';
import {
  agentTotal,
  offered,
  usedBy,
  type Agent,
  type Cluster,
  type Framework,
  type Task,
} from './cluster.js';
import { clusterOf, type MasterProcess } from './process.js';

const seconds = (ms: number) => ms / 1000;

/** `/state` */
export function stateView(self: MasterProcess): unknown {
  const { info, flags } = self;
  const cluster = clusterOf(self);
  const agents = [...cluster.agents.values()];
  return {
    ...versionInfo,
    start_time: seconds(self.startedAt),
    ...(self.electedAt !== undefined && { elected_time: seconds(self.electedAt) }),
    id: info.id,
    pid: info.pid,
    hostname: info.hostname,
    activated_slaves: agents.filter((agent) => agent.link).length,
    deactivated_slaves: agents.filter((agent) => !agent.link).length,
    unreachable_slaves: cluster.unreachableAgents.size,
    ...(self.leader && {
      leader: self.leader.pid,
      leader_info: {
        id: self.leader.id,
        pid: self.leader.pid,
        port: self.leader.port,
        hostname: self.leader.hostname,
      },
    }),
    ...(flags.optional('cluster') !== undefined && { cluster: flags.optional('cluster') }),
    ...(flags.optional('log_dir') !== undefined && { log_dir: flags.optional('log_dir') }),
    flags: flags.values,
    ...slavesView(cluster, agentState),
    ...frameworksView(cluster),
    orphan_tasks: [],
  };
}

/** Task states that `/state-summary` of Mesos 1.3.2 counts. */
const summedStates: readonly TaskState[] = [
  'TASK_STAGING',
  'TASK_STARTING',
  'TASK_RUNNING',
  'TASK_KILLING',
  'TASK_FINISHED',
  'TASK_KILLED',
  'TASK_FAILED',
  'TASK_LOST',
  'TASK_ERROR',
  'TASK_UNREACHABLE',
];

/** `/state-summary` */
export function summaryView(self: MasterProcess): unknown {
  const cluster = clusterOf(self);
  const counts = (tasks: readonly Task[]) =>
    Object.fromEntries(
      summedStates.map((state) => [state, tasks.filter((task) => task.state === state).length]),
    );
  const agents = [...cluster.agents.values()];
  const frameworks = [...cluster.frameworks.values()];
  return {
    hostname: self.info.hostname,
    cluster: self.flags.optional('cluster') ?? '',
    slaves: agents.map((agent) => ({
      ...agentState(agent, cluster),
      ...counts([...agent.tasks.values()]),
      framework_ids: [...new Set([...agent.tasks.values()].map((task) => task.frameworkId))],
    })),
    frameworks: frameworks.map((framework) => {
      const tasks = [...framework.tasks.values()];
      return {
        ...frameworkHead(framework, cluster),
        ...counts(tasks),
        slave_ids: [...new Set(tasks.map((task) => task.agentId))],
      };
    }),
  };
}

/** `/slaves`; `/state` has less about each agent. */
export function slavesView(
  cluster: Cluster,
  view: (agent: Agent, cluster: Cluster) => Record<string, unknown> = fullAgentState,
): Record<string, unknown> {
  return {
    slaves: [...cluster.agents.values()].map((agent) => view(agent, cluster)),
    recovered_slaves: [...cluster.recoveredAgents.values()].map(({ id, hostname, ip, port }) => ({
      id,
      hostname,
      port,
      pid: `slave(1)@${ip}:${port}`,
    })),
  };
}

/** `/frameworks` */
export function frameworksView(cluster: Cluster): Record<string, unknown> {
  const view = (framework: Framework) => frameworkState(framework, cluster);
  return {
    frameworks: [...cluster.frameworks.values()].map(view),
    completed_frameworks: cluster.completedFrameworks.map(view),
    unregistered_frameworks: [],
  };
}

/** `/tasks` */
export function tasksView(cluster: Cluster, query: URLSearchParams): unknown {
  const limit = Number(query.get('limit') ?? 100);
  const offset = Number(query.get('offset') ?? 0);
  const tasks = [...cluster.frameworks.values(), ...cluster.completedFrameworks]
    .flatMap((framework) => [...framework.tasks.values(), ...framework.completedTasks])
    .sort((left, right) => (right.statuses[0]?.timestamp ?? 0) - (left.statuses[0]?.timestamp ?? 0));
  return { tasks: tasks.slice(offset, offset + limit).map(taskState) };
}

/** `/roles` */
export function rolesView(cluster: Cluster): unknown {
  const frameworks = [...cluster.frameworks.values()];
  return {
    roles: [
      {
        frameworks: frameworks.map(({ id }) => id),
        name: '*',
        resources: toState(sum(frameworks.map((framework) => usedBy(framework.tasks.values())))),
        weight: 1,
      },
    ],
  };
}

function agentState(agent: Agent, cluster: Cluster): Record<string, unknown> {
  const total = toState(agentTotal(agent));
  return {
    id: agent.id,
    hostname: agent.info.hostname,
    port: agent.info.port,
    attributes: attributesToState(agent.info.attributes),
    pid: `slave(1)@${agent.info.ip}:${agent.info.port}`,
    registered_time: seconds(agent.registeredAt),
    ...(agent.reregisteredAt !== undefined && { reregistered_time: seconds(agent.reregisteredAt) }),
    resources: total,
    used_resources: toState(usedBy(agent.tasks.values())),
    offered_resources: toState(offered(cluster.offersOf(agent.id))),
    reserved_resources: {},
    unreserved_resources: total,
    active: agent.link !== undefined,
    version: agent.info.version,
    capabilities: ['MULTI_ROLE'],
  };
}

function fullAgentState(agent: Agent, cluster: Cluster): Record<string, unknown> {
  return {
    ...agentState(agent, cluster),
    reserved_resources_full: {},
    used_resources_full: toApi(usedBy(agent.tasks.values()), true),
    offered_resources_full: toApi(offered(cluster.offersOf(agent.id)), true),
  };
}

function frameworkHead(framework: Framework, cluster: Cluster): Record<string, unknown> {
  const { info, id, stream } = framework;
  const used = usedBy(framework.tasks.values());
  return {
    id,
    name: info.name,
    used_resources: toState(used),
    offered_resources: toState(offered(cluster.offersTo(id))),
    capabilities: info.capabilities.flatMap(({ type }) => type ?? []),
    hostname: info.hostname ?? '',
    webui_url: info.webui_url ?? '',
    active: stream !== undefined,
    connected: stream !== undefined,
    recovered: framework.recovered,
  };
}

function frameworkState(framework: Framework, cluster: Cluster): unknown {
  const { info, registeredAt, reregisteredAt } = framework;
  return {
    ...frameworkHead(framework, cluster),
    user: info.user,
    failover_timeout: info.failover_timeout ?? 0,
    checkpoint: info.checkpoint ?? false,
    ...(info.principal !== undefined && { principal: info.principal }),
    registered_time: seconds(registeredAt),
    unregistered_time: seconds(framework.unregisteredAt ?? 0),
    ...(reregisteredAt !== registeredAt && { reregistered_time: seconds(reregisteredAt) }),
    resources: toState(usedBy(framework.tasks.values())),
    role: info.role ?? '*',
    tasks: [...framework.tasks.values()].map(taskState),
    unreachable_tasks: [...framework.unreachableTasks.values()].map(taskState),
    completed_tasks: framework.completedTasks.map(taskState),
    offers: cluster.offersTo(framework.id).map((offer) => ({
      id: offer.id,
      framework_id: offer.frameworkId,
      slave_id: offer.agentId,
      resources: toState(offer.resources),
    })),
    executors: [],
    ...(info.labels && { labels: info.labels.labels }),
  };
}

function taskState(task: Task): unknown {
  const { info } = task;
  return {
    id: info.task_id.value,
    name: info.name,
    framework_id: task.frameworkId,
    executor_id: '',
    slave_id: task.agentId,
    state: task.state,
    resources: toState(task.resources),
    role: '*',
    statuses: task.statuses.map(statusState),
    ...(info.labels && { labels: info.labels.labels }),
    ...(info.discovery !== undefined && { discovery: info.discovery }),
  };
}
