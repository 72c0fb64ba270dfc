/** Replies to calls of a master's v1 operator API. Pure. */
import type { AnsweredOperatorCall } from '../messages.js';
import { sum, toApi } from '../resources.js';
import { versionInfo } from '../version.js';
import { agentTotal, usedBy, type Agent, type Cluster, type Framework, type Task } from './cluster.js';
import { masterMetrics } from './metrics.js';
import { clusterOf, type MasterProcess } from './process.js';

const nanoseconds = (ms: number) => ({ nanoseconds: ms * 1_000_000 });

export function operatorView(self: MasterProcess, type: AnsweredOperatorCall): unknown {
  const cluster = clusterOf(self);
  switch (type) {
    case 'GET_HEALTH':
      return { type, get_health: { healthy: true } };
    case 'GET_VERSION':
      return { type, get_version: { version_info: versionInfo } };
    case 'GET_MASTER':
      return { type, get_master: { master_info: self.info } };
    case 'GET_FLAGS':
      return { type, get_flags: { flags: pairs(self.flags.values) } };
    case 'GET_METRICS':
      return { type, get_metrics: { metrics: pairs(masterMetrics(self)) } };
    case 'GET_LOGGING_LEVEL':
      return { type, get_logging_level: { level: 0 } };
    case 'GET_AGENTS':
      return { type, get_agents: agentsApi(cluster) };
    case 'GET_FRAMEWORKS':
      return { type, get_frameworks: frameworksApi(cluster) };
    case 'GET_TASKS':
      return { type, get_tasks: tasksApi(cluster) };
    case 'GET_EXECUTORS':
      return { type, get_executors: {} };
    case 'GET_STATE':
      return {
        type,
        get_state: {
          get_agents: agentsApi(cluster),
          get_executors: {},
          get_frameworks: frameworksApi(cluster),
          get_tasks: tasksApi(cluster),
        },
      };
    case 'GET_ROLES':
      return { type, get_roles: rolesApi(cluster) };
    case 'GET_WEIGHTS':
      return { type };
    case 'GET_QUOTA':
      return { type, get_quota: { status: {} } };
    case 'GET_MAINTENANCE_STATUS':
      return { type, get_maintenance_status: { status: self.master?.maintenance.statusView() ?? {} } };
    case 'GET_MAINTENANCE_SCHEDULE':
      return { type, get_maintenance_schedule: { schedule: self.master?.maintenance.scheduleView() ?? {} } };
  }
}

function agentsApi({ agents }: Cluster): unknown {
  return { agents: [...agents.values()].map(agentApi) };
}

function frameworksApi({ frameworks, completedFrameworks }: Cluster): unknown {
  return {
    frameworks: [...frameworks.values()].map(frameworkApi),
    completed_frameworks: completedFrameworks.map(frameworkApi),
  };
}

function tasksApi({ frameworks, completedFrameworks }: Cluster): unknown {
  const all = [...frameworks.values(), ...completedFrameworks];
  return {
    tasks: all.flatMap((framework) => [...framework.tasks.values()]).map(taskApi),
    unreachable_tasks: all.flatMap((framework) => [...framework.unreachableTasks.values()]).map(taskApi),
    completed_tasks: all.flatMap((framework) => framework.completedTasks).map(taskApi),
  };
}

function rolesApi({ agents, frameworks }: Cluster): unknown {
  const used = sum([...agents.values()].map((agent) => usedBy(agent.tasks.values())));
  const role = {
    name: '*',
    weight: 1,
    frameworks: [...frameworks.keys()].map((value) => ({ value })),
    resources: toApi(used, true),
  };
  return { roles: [role] };
}

function agentApi(agent: Agent): unknown {
  const resources = toApi(agentTotal(agent));
  return {
    active: agent.link !== undefined,
    agent_info: {
      id: { value: agent.id },
      hostname: agent.info.hostname,
      port: agent.info.port,
      attributes: agent.info.attributes,
      resources,
    },
    pid: `slave(1)@${agent.info.ip}:${agent.info.port}`,
    registered_time: nanoseconds(agent.registeredAt),
    ...(agent.reregisteredAt !== undefined && { reregistered_time: nanoseconds(agent.reregisteredAt) }),
    total_resources: resources,
    allocated_resources: toApi(usedBy(agent.tasks.values()), true),
    capabilities: [{ type: 'MULTI_ROLE' }],
    version: agent.info.version,
  };
}

function frameworkApi(framework: Framework): unknown {
  const { info, stream, recovered, registeredAt, reregisteredAt, unregisteredAt } = framework;
  const { roles, ...rest } = info;
  return {
    active: stream !== undefined,
    connected: stream !== undefined,
    recovered,
    framework_info: {
      checkpoint: false,
      failover_timeout: 0,
      role: '*',
      ...rest,
      ...(roles.length > 0 && { roles }),
    },
    registered_time: nanoseconds(registeredAt),
    reregistered_time: nanoseconds(reregisteredAt),
    ...(unregisteredAt !== undefined && { unregistered_time: nanoseconds(unregisteredAt) }),
    allocated_resources: toApi(usedBy(framework.tasks.values()), true),
  };
}

function taskApi(task: Task): unknown {
  const { info, forwarded } = task;
  return {
    agent_id: { value: task.agentId },
    framework_id: { value: task.frameworkId },
    name: info.name,
    resources: toApi(task.resources, true),
    state: task.state,
    ...(forwarded && { status_update_state: forwarded.state, status_update_uuid: forwarded.uuid }),
    statuses: task.statuses,
    task_id: info.task_id,
    ...(info.labels && { labels: info.labels }),
  };
}

function pairs<T>(values: Readonly<Record<string, T>>): { readonly name: string; readonly value: T }[] {
  return Object.entries(values)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => ({ name, value }));
}
