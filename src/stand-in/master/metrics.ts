import type { TaskState } from '../messages.js';
import { resourceMetrics, systemMetrics } from '../metrics.js';
import { sum } from '../resources.js';
import { totalOf, usedBy, type Cluster } from './cluster.js';
import { Counters } from './counters.js';
import { clusterOf, type MasterProcess } from './process.js';

/** Task states that Mesos 1.3.2 has a metric for. */
const countedStates: readonly TaskState[] = [
  'TASK_DROPPED',
  'TASK_ERROR',
  'TASK_FAILED',
  'TASK_FINISHED',
  'TASK_GONE',
  'TASK_GONE_BY_OPERATOR',
  'TASK_KILLED',
  'TASK_KILLING',
  'TASK_LOST',
  'TASK_RUNNING',
  'TASK_STAGING',
  'TASK_STARTING',
  'TASK_UNREACHABLE',
];

/** True for a follower, and for a leader that has read its registry. */
export function logIsRecovered({ master, leader, electedAt }: MasterProcess): boolean {
  return master !== undefined || (leader !== undefined && electedAt === undefined);
}

/** `/metrics/snapshot` of a master. */
export function masterMetrics(self: MasterProcess): Record<string, number> {
  const cluster = clusterOf(self);
  return {
    'master/elected': self.electedAt === undefined ? 0 : 1,
    'master/uptime_secs': (Date.now() - self.startedAt) / 1_000,
    'registrar/log/recovered': logIsRecovered(self) ? 1 : 0,
    'registrar/queued_operations': 0,
    ...connectionMetrics(cluster),
    'master/outstanding_offers': cluster.offers.size,
    ...(self.master?.counters ?? new Counters()).metrics(),
    ...taskMetrics(cluster),
    ...resourceMetrics(
      'master',
      totalOf([...cluster.agents.values()]),
      sum([...cluster.agents.values()].map((agent) => usedBy(agent.tasks.values()))),
    ),
    ...systemMetrics(),
  };
}

function connectionMetrics({ agents, frameworks }: Cluster): Record<string, number> {
  const connected = [...agents.values()].filter((agent) => agent.link).length;
  const subscribed = [...frameworks.values()].filter((framework) => framework.stream).length;
  return {
    'master/slaves_connected': connected,
    'master/slaves_disconnected': agents.size - connected,
    'master/slaves_active': connected,
    'master/slaves_inactive': agents.size - connected,
    'master/frameworks_connected': subscribed,
    'master/frameworks_disconnected': frameworks.size - subscribed,
    'master/frameworks_active': subscribed,
    'master/frameworks_inactive': frameworks.size - subscribed,
  };
}

function taskMetrics({ frameworks, completedFrameworks }: Cluster): Record<string, number> {
  const tasks = [...frameworks.values(), ...completedFrameworks].flatMap((framework) => [
    ...framework.tasks.values(),
    ...framework.unreachableTasks.values(),
    ...framework.completedTasks,
  ]);
  return Object.fromEntries(
    countedStates.map((state) => [
      `master/tasks_${state.slice('TASK_'.length).toLowerCase()}`,
      tasks.filter((task) => task.state === state).length,
    ]),
  );
}
