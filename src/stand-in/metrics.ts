import { cpus, freemem, loadavg, totalmem } from 'node:os';
import { agentTotal, usedBy } from './master/cluster.js';
import { Counters } from './master/counters.js';
import type { MasterProcess } from './master/process.js';
import type { TaskState } from './messages.js';
import { add, noResources, sum, type Resources } from './resources.js';

/** States of which Mesos 1.3.2 tells how many tasks are, or ended, in them. */
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

/** A master that follows has recovered its replica of the log; one that was elected may still wait for others. */
export function logIsRecovered({ master, leader, electedAt }: MasterProcess): boolean {
  return master !== undefined || (leader !== undefined && electedAt === undefined);
}

/** `/metrics/snapshot` of a master: what can be told of it. */
export function masterMetrics(self: MasterProcess): Record<string, number> {
  const { master } = self;
  const agents = [...(master?.agents.values() ?? [])];
  const frameworks = [...(master?.frameworks.values() ?? [])];
  const connected = agents.filter((agent) => agent.link).length;
  const subscribed = frameworks.filter((framework) => framework.stream).length;
  const everywhere = [...frameworks, ...(master?.completedFrameworks ?? [])].flatMap((framework) => [
    ...framework.tasks.values(),
    ...framework.unreachableTasks.values(),
    ...framework.completedTasks,
  ]);
  return {
    'master/elected': self.electedAt === undefined ? 0 : 1,
    'master/uptime_secs': (Date.now() - self.startedAt) / 1_000,
    'registrar/log/recovered': logIsRecovered(self) ? 1 : 0,
    'registrar/queued_operations': 0,
    'master/slaves_connected': connected,
    'master/slaves_disconnected': agents.length - connected,
    'master/slaves_active': connected,
    'master/slaves_inactive': agents.length - connected,
    'master/frameworks_connected': subscribed,
    'master/frameworks_disconnected': frameworks.length - subscribed,
    'master/frameworks_active': subscribed,
    'master/frameworks_inactive': frameworks.length - subscribed,
    'master/outstanding_offers': master?.offers.size ?? 0,
    ...(master?.counters ?? new Counters()).metrics(),
    ...Object.fromEntries(
      countedStates.map((state) => [
        `master/tasks_${state.slice('TASK_'.length).toLowerCase()}`,
        everywhere.filter((task) => task.state === state).length,
      ]),
    ),
    ...resourceMetrics(
      'master',
      agents.reduce((all, agent) => add(all, agentTotal(agent)), noResources),
      sum(agents.map((agent) => usedBy(agent.tasks.values()))),
    ),
    ...systemMetrics(),
  };
}

/** How much there is, and how much is taken. Nothing here is revocable. */
export function resourceMetrics(of: 'master' | 'slave', total: Resources, used: Resources) {
  return Object.fromEntries(
    ['cpus', 'gpus', 'mem', 'disk'].flatMap((name) => {
      const all = total.scalars[name] ?? 0;
      const taken = used.scalars[name] ?? 0;
      return [
        [`${of}/${name}_total`, all],
        [`${of}/${name}_used`, taken],
        [`${of}/${name}_percent`, all > 0 ? taken / all : 0],
        [`${of}/${name}_revocable_total`, 0],
        [`${of}/${name}_revocable_used`, 0],
        [`${of}/${name}_revocable_percent`, 0],
      ];
    }),
  );
}

/** The machine, as `/metrics/snapshot` of every Mesos program tells it. */
export function systemMetrics(): Record<string, number> {
  return Object.fromEntries(
    Object.entries(systemStats()).map(([name, value]) => [`system/${name.replace(/^avg_/, '')}`, value]),
  );
}

/** `/system/stats.json` */
export function systemStats(): Record<string, number> {
  const [load1 = 0, load5 = 0, load15 = 0] = loadavg();
  return {
    avg_load_1min: load1,
    avg_load_5min: load5,
    avg_load_15min: load15,
    cpus_total: cpus().length,
    mem_free_bytes: freemem(),
    mem_total_bytes: totalmem(),
  };
}
