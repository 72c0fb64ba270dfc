import { attributesToState } from '../attributes.js';
import { agentTotal, usedBy, type Agent, type Framework, type LiveOffer, type Task } from './cluster.js';
import type { Master } from './master.js';
import { isTerminal, type AnsweredOperatorCall, type TaskState } from '../messages.js';
import type { MasterProcess } from './process.js';
import { masterMetrics } from '../metrics.js';
import { sum, toApi, toState, type Resources } from '../resources.js';
import { statusState } from '../status-view.js';
import { versionInfo } from '../version.js';

const seconds = (ms: number) => ms / 1000;
const nanoseconds = (ms: number) => ({ nanoseconds: ms * 1_000_000 });
const capabilitiesOf = ({ info }: Framework) => info.capabilities.flatMap(({ type }) => type ?? []);

/** `/state` */
export function stateView(self: MasterProcess): unknown {
  const { info, flags, master } = self;
  const agents = [...(master?.agents.values() ?? [])];
  return {
    ...versionInfo,
    start_time: seconds(self.startedAt),
    ...(self.electedAt !== undefined && { elected_time: seconds(self.electedAt) }),
    id: info.id,
    pid: info.pid,
    hostname: info.hostname,
    activated_slaves: agents.filter((agent) => agent.link).length,
    deactivated_slaves: agents.filter((agent) => !agent.link).length,
    unreachable_slaves: master?.unreachableAgents.size ?? 0,
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
    ...slavesView(master, agentState),
    ...frameworksView(master),
    orphan_tasks: [],
  };
}

/** States of which `/state-summary` of Mesos 1.3.2 gives the numbers. */
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
  const { master } = self;
  const counts = (tasks: readonly Task[]) =>
    Object.fromEntries(
      summedStates.map((state) => [state, tasks.filter((task) => task.state === state).length]),
    );
  const agents = [...(master?.agents.values() ?? [])];
  const frameworks = [...(master?.frameworks.values() ?? [])];
  return {
    hostname: self.info.hostname,
    cluster: self.flags.optional('cluster') ?? '',
    slaves: agents.map((agent) => ({
      ...agentState(agent, master),
      ...counts([...agent.tasks.values()]),
      framework_ids: [...new Set([...agent.tasks.values()].map((task) => task.frameworkId))],
    })),
    frameworks: frameworks.map((framework) => {
      const tasks = [...framework.tasks.values()];
      return {
        ...frameworkHead(framework, master),
        ...counts(tasks),
        slave_ids: [...new Set(tasks.map((task) => task.agentId))],
      };
    }),
  };
}

/** `/slaves`; `/state` has the same, with less about each agent. */
export function slavesView(
  master: Master | undefined,
  view: (agent: Agent, master: Master | undefined) => Record<string, unknown> = fullAgentState,
): Record<string, unknown> {
  return {
    slaves: [...(master?.agents.values() ?? [])].map((agent) => view(agent, master)),
    recovered_slaves: [...(master?.recoveredAgents.values() ?? [])].map(({ id, hostname, ip, port }) => ({
      id,
      hostname,
      port,
      pid: `slave(1)@${ip}:${port}`,
    })),
  };
}

/** `/frameworks` */
export function frameworksView(master: Master | undefined): Record<string, unknown> {
  const view = (framework: Framework) => frameworkState(framework, master);
  return {
    frameworks: [...(master?.frameworks.values() ?? [])].map(view),
    completed_frameworks: (master?.completedFrameworks ?? []).map(view),
    unregistered_frameworks: [],
  };
}

/** `/tasks` */
export function tasksView(master: Master | undefined, query: URLSearchParams): unknown {
  const limit = Number(query.get('limit') ?? 100);
  const offset = Number(query.get('offset') ?? 0);
  const tasks = [...(master?.frameworks.values() ?? []), ...(master?.completedFrameworks ?? [])]
    .flatMap((framework) => [...framework.tasks.values(), ...framework.completedTasks])
    .sort((left, right) => (right.statuses[0]?.timestamp ?? 0) - (left.statuses[0]?.timestamp ?? 0));
  return { tasks: tasks.slice(offset, offset + limit).map(taskState) };
}

/** `/roles` */
export function rolesView(master: Master | undefined): unknown {
  const frameworks = [...(master?.frameworks.values() ?? [])];
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

/** The reply to a call of the v1 operator API. */
export function operatorView(self: MasterProcess, master: Master, type: AnsweredOperatorCall): unknown {
  const agents = () => ({ agents: [...master.agents.values()].map(agentApi) });
  const frameworks = () => ({
    frameworks: [...master.frameworks.values()].map(frameworkApi),
    completed_frameworks: master.completedFrameworks.map(frameworkApi),
  });
  const tasks = () => {
    const all = [...master.frameworks.values(), ...master.completedFrameworks];
    return {
      tasks: all.flatMap((framework) => [...framework.tasks.values()]).map(taskApi),
      unreachable_tasks: all.flatMap((framework) => [...framework.unreachableTasks.values()]).map(taskApi),
      completed_tasks: all.flatMap((framework) => framework.completedTasks).map(taskApi),
    };
  };
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
      return { type, get_agents: agents() };
    case 'GET_FRAMEWORKS':
      return { type, get_frameworks: frameworks() };
    case 'GET_TASKS':
      return { type, get_tasks: tasks() };
    case 'GET_EXECUTORS':
      return { type, get_executors: {} };
    case 'GET_STATE':
      return {
        type,
        get_state: {
          get_agents: agents(),
          get_executors: {},
          get_frameworks: frameworks(),
          get_tasks: tasks(),
        },
      };
    case 'GET_ROLES':
      return {
        type,
        get_roles: {
          roles: [
            {
              name: '*',
              weight: 1,
              frameworks: [...master.frameworks.keys()].map((value) => ({ value })),
              resources: toApi(
                sum([...master.agents.values()].map((agent) => usedBy(agent.tasks.values()))),
                true,
              ),
            },
          ],
        },
      };
    case 'GET_WEIGHTS':
      return { type };
    case 'GET_QUOTA':
      return { type, get_quota: { status: {} } };
    case 'GET_MAINTENANCE_STATUS':
      return { type, get_maintenance_status: { status: {} } };
    case 'GET_MAINTENANCE_SCHEDULE':
      return { type, get_maintenance_schedule: { schedule: {} } };
  }
}

function pairs<T>(values: Readonly<Record<string, T>>): { readonly name: string; readonly value: T }[] {
  return Object.entries(values)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => ({ name, value }));
}

function offeredOf(offers: Iterable<LiveOffer>, mine: (offer: LiveOffer) => boolean): Resources {
  return sum([...offers].filter(mine).map((offer) => offer.resources));
}

function agentState(agent: Agent, master: Master | undefined): Record<string, unknown> {
  const total = toState(agentTotal(agent));
  const offered = offeredOf(master?.offers.values() ?? [], (offer) => offer.agentId === agent.id);
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
    offered_resources: toState(offered),
    reserved_resources: {},
    unreserved_resources: total,
    active: agent.link !== undefined,
    version: agent.info.version,
    capabilities: ['MULTI_ROLE'],
  };
}

function fullAgentState(agent: Agent, master: Master | undefined): Record<string, unknown> {
  const offered = offeredOf(master?.offers.values() ?? [], (offer) => offer.agentId === agent.id);
  return {
    ...agentState(agent, master),
    reserved_resources_full: {},
    used_resources_full: toApi(usedBy(agent.tasks.values()), true),
    offered_resources_full: toApi(offered, true),
  };
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

function frameworkHead(framework: Framework, master: Master | undefined): Record<string, unknown> {
  const { info, id, stream } = framework;
  const used = usedBy(framework.tasks.values());
  const offered = offeredOf(master?.offers.values() ?? [], (offer) => offer.frameworkId === id);
  return {
    id,
    name: info.name,
    used_resources: toState(used),
    offered_resources: toState(offered),
    capabilities: capabilitiesOf(framework),
    hostname: info.hostname ?? '',
    webui_url: info.webui_url ?? '',
    active: stream !== undefined,
    connected: stream !== undefined,
    recovered: framework.recovered,
  };
}

function frameworkState(framework: Framework, master: Master | undefined): unknown {
  const { info, registeredAt, reregisteredAt } = framework;
  return {
    ...frameworkHead(framework, master),
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
    offers: [...(master?.offers.values() ?? [])]
      .filter((offer) => offer.frameworkId === framework.id)
      .map((offer) => ({
        id: offer.id,
        framework_id: offer.frameworkId,
        slave_id: offer.agentId,
        resources: toState(offer.resources),
      })),
    executors: [],
    ...(info.labels && { labels: info.labels.labels }),
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

function taskApi(task: Task): unknown {
  const { info, told } = task;
  return {
    agent_id: { value: task.agentId },
    framework_id: { value: task.frameworkId },
    name: info.name,
    resources: toApi(task.resources, true),
    state: task.state,
    ...(told && { status_update_state: told.state, status_update_uuid: told.uuid }),
    statuses: task.statuses,
    task_id: info.task_id,
    ...(info.labels && { labels: info.labels }),
  };
}

/** Whether anything runs at all, for the page. */
export function liveTasks(master: Master): Task[] {
  return [...master.frameworks.values()]
    .flatMap((framework) => [...framework.tasks.values()])
    .filter((task) => !isTerminal(task.state));
}
