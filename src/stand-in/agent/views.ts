import type { Authentication } from '../authentication.js';
import type { Agent } from './agent.js';
import { attributesToState } from '../attributes.js';
import type { Flags } from '../flags.js';
import { isTerminal, type FrameworkInfo, type TaskState } from '../messages.js';
import { resourceMetrics, systemMetrics } from '../metrics.js';
import { fromApi, sum, toApi, toState } from '../resources.js';
import { statusState } from '../status-view.js';
import type { TaskRun } from './task-run.js';
import { versionInfo } from '../version.js';

export interface AgentProcess {
  readonly agent: Pick<Agent, 'id' | 'registered' | 'master' | 'settings' | 'tasks' | 'frameworks'>;
  readonly flags: Flags;
  readonly authentication: Authentication;
  readonly startedAt: number;
}

/** `/state` */
export function agentStateView({ agent, flags, startedAt }: AgentProcess): unknown {
  const { settings } = agent;
  const resources = toState(settings.resources);
  return {
    ...versionInfo,
    start_time: startedAt / 1_000,
    ...(agent.id !== undefined && { id: agent.id }),
    pid: `slave(1)@${settings.ip}:${settings.port}`,
    hostname: settings.hostname,
    capabilities: ['MULTI_ROLE'],
    resources,
    reserved_resources: {},
    unreserved_resources: resources,
    reserved_resources_full: {},
    attributes: attributesToState(settings.attributes),
    ...(agent.master && { master_hostname: agent.master.hostname }),
    ...(flags.optional('log_dir') !== undefined && { log_dir: flags.optional('log_dir') }),
    flags: flags.values,
    frameworks: [...agent.frameworks].map(([id, info]) => ({
      id,
      name: info.name,
      user: info.user,
      failover_timeout: info.failover_timeout ?? 0,
      checkpoint: info.checkpoint ?? false,
      hostname: info.hostname ?? '',
      role: info.role ?? '*',
      executors: [...agent.tasks.values()].filter((task) => task.frameworkId === id).map(executorState),
      completed_executors: [],
    })),
    completed_frameworks: [],
  };
}

/** `/metrics/snapshot`, as far as known. */
export function agentMetrics({ agent, startedAt }: AgentProcess): Record<string, number> {
  const tasks = [...agent.tasks.values()];
  const live = tasks.filter((task) => !isTerminal(task.state));
  return {
    'slave/registered': agent.registered ? 1 : 0,
    'slave/uptime_secs': (Date.now() - startedAt) / 1_000,
    'slave/frameworks_active': agent.frameworks.size,
    'slave/executors_running': live.length,
    ...Object.fromEntries(
      countedStates.map((state) => [
        `slave/tasks_${state.slice('TASK_'.length).toLowerCase()}`,
        tasks.filter((task) => task.state === state).length,
      ]),
    ),
    ...resourceMetrics('slave', agent.settings.resources, sum(live.map(resourcesOf))),
    ...systemMetrics(),
  };
}

/** Task states that an agent of Mesos 1.3.2 counts. */
const countedStates: readonly TaskState[] = [
  'TASK_FAILED',
  'TASK_FINISHED',
  'TASK_GONE',
  'TASK_KILLED',
  'TASK_KILLING',
  'TASK_LOST',
  'TASK_RUNNING',
  'TASK_STAGING',
  'TASK_STARTING',
];

/** `/containers` */
export function containersView({ agent }: AgentProcess): unknown {
  return [...agent.tasks.values()].map((task) => ({
    container_id: task.launch.container_id,
    executor_id: task.taskId,
    executor_name: executorName(task),
    framework_id: task.frameworkId,
    source: task.taskId,
    status: containerStatus(task),
  }));
}

/** The reply to a call of the agent's v1 API; undefined for an unsupported one. */
export function agentOperatorView(self: AgentProcess, type: string | undefined): unknown {
  const { agent, flags } = self;
  const tasks = [...agent.tasks.values()];
  const frameworks = () => ({
    frameworks: [...agent.frameworks.values()].map((info) => ({ framework_info: frameworkApi(info) })),
  });
  const executors = () => ({ executors: tasks.map((task) => ({ executor_info: executorApi(agent, task) })) });
  const taskLists = () => ({
    launched_tasks: tasks.filter((task) => !isTerminal(task.state)).map(taskApi),
    terminated_tasks: tasks.filter((task) => isTerminal(task.state)).map(taskApi),
  });
  switch (type) {
    case 'GET_HEALTH':
      return { type, get_health: { healthy: true } };
    case 'GET_VERSION':
      return { type, get_version: { version_info: versionInfo } };
    case 'GET_LOGGING_LEVEL':
      return { type, get_logging_level: { level: 0 } };
    case 'GET_FLAGS':
      return { type, get_flags: { flags: pairs(flags.values) } };
    case 'GET_METRICS':
      return { type, get_metrics: { metrics: pairs(agentMetrics(self)) } };
    case 'GET_FRAMEWORKS':
      return { type, get_frameworks: frameworks() };
    case 'GET_EXECUTORS':
      return { type, get_executors: executors() };
    case 'GET_TASKS':
      return { type, get_tasks: taskLists() };
    case 'GET_STATE':
      return {
        type,
        get_state: { get_executors: executors(), get_frameworks: frameworks(), get_tasks: taskLists() },
      };
    case 'GET_CONTAINERS':
      return {
        type,
        get_containers: {
          containers: tasks.map((task) => ({
            container_id: { value: task.launch.container_id },
            container_status: containerStatus(task),
            executor_id: { value: task.taskId },
            executor_name: executorName(task),
            framework_id: { value: task.frameworkId },
          })),
        },
      };
    default:
      return undefined;
  }
}

function executorState(task: TaskRun): unknown {
  const { launch, task: info } = task;
  const { labels } = info;
  return {
    id: task.taskId,
    name: executorName(task),
    source: task.taskId,
    container: launch.container_id,
    directory: launch.sandbox,
    resources: toState(resourcesOf(task)),
    role: '*',
    ...(labels && { labels: labels.labels }),
    tasks: [
      {
        id: task.taskId,
        name: info.name,
        framework_id: task.frameworkId,
        executor_id: '',
        slave_id: launch.agent_id,
        state: task.state,
        resources: toState(resourcesOf(task)),
        role: '*',
        statuses: task.updates.statuses.map(statusState),
        ...(labels && { labels: labels.labels }),
      },
    ],
    queued_tasks: [],
    completed_tasks: [],
  };
}

function executorApi({ settings }: AgentProcess['agent'], task: TaskRun): unknown {
  const { labels } = task.task;
  return {
    command: { shell: false, value: settings.executor, arguments: ['mesos-executor'] },
    executor_id: { value: task.taskId },
    framework_id: { value: task.frameworkId },
    name: executorName(task),
    resources: toApi(resourcesOf(task), true),
    source: task.taskId,
    ...(labels && { labels }),
  };
}

function taskApi(task: TaskRun): unknown {
  const { latest } = task.updates;
  const { labels } = task.task;
  return {
    agent_id: { value: task.launch.agent_id },
    framework_id: { value: task.frameworkId },
    name: task.task.name,
    resources: toApi(resourcesOf(task), true),
    state: task.state,
    ...(latest && { status_update_state: latest.state, status_update_uuid: latest.uuid }),
    statuses: task.updates.statuses,
    task_id: { value: task.taskId },
    ...(labels && { labels }),
  };
}

/** A `FrameworkInfo` with the defaults that Mesos adds. */
function frameworkApi(info: FrameworkInfo): unknown {
  return { checkpoint: false, failover_timeout: 0, role: '*', ...info };
}

function containerStatus(task: TaskRun): unknown {
  return {
    container_id: { value: task.launch.container_id },
    ...(task.executorPid !== undefined && { executor_pid: task.executorPid }),
  };
}

function executorName({ taskId }: TaskRun): string {
  return `Command Executor (Task: ${taskId})`;
}

function resourcesOf({ task }: TaskRun) {
  return fromApi(task.resources);
}

function pairs<T>(values: Readonly<Record<string, T>>): { readonly name: string; readonly value: T }[] {
  return Object.entries(values).map(([name, value]) => ({ name, value }));
}
