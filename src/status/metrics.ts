/** The status of a cluster as metrics for Prometheus. Pure. */
import { jupyterStates } from '../node/api.js';
import type { ClusterStatus, MasterStatus, Phase, WorkflowStatus, ZooKeeperMode } from './cluster-status.js';
import { exposition, type Metric, type Sample } from './exposition.js';

/** What a metric is, and its samples for a status. What is unknown has no sample. */
export interface StatusMetric extends Metric {
  /** Besides `cluster`, which every sample has. */
  readonly labels: readonly string[];
  samplesOf(status: ClusterStatus): readonly Sample[];
}

type Value = boolean | number | null | undefined;

/** No sample for a value that is unknown. */
function sample(value: Value, labels: Sample['labels'] = {}): Sample[] {
  return value === null || value === undefined ? [] : [{ labels, value: Number(value) }];
}

/** One sample for each state: 1 for the present one, 0 for the others; none while it is unknown. */
function stateSet<T extends string>(
  all: readonly T[],
  present: T | null,
  label: string,
  labels = {},
): Sample[] {
  return present === null
    ? []
    : all.flatMap((each) => sample(each === present, { ...labels, [label]: each }));
}

function seconds(time: string | null | undefined): number | null {
  return time === null || time === undefined ? null : Date.parse(time) / 1_000;
}

const phases = ['absent', 'deploying', 'ready', 'degraded', 'failed'] as const satisfies readonly Phase[];
const workflowNames = ['deploy', 'framework', 'keeper'] as const;

function isRunning(state: WorkflowStatus): boolean | null {
  return state === 'unknown' ? null : state === 'running' || state === 'paused';
}

/** What a workflow knows is known only if Temporal answered. */
function known<T>(state: WorkflowStatus, value: T): T | null {
  return state === 'unknown' || state === 'absent' ? null : value;
}

function isServing(mode: ZooKeeperMode): boolean | null {
  return mode === 'no-answer' ? null : mode !== 'down' && mode !== 'not-serving';
}

function isUp(state: MasterStatus): boolean | null {
  return state === 'no-answer' ? null : state !== 'down';
}

const clusterMetrics: readonly StatusMetric[] = [
  {
    name: 'perijove_cluster_phase',
    type: 'gauge',
    help: '1 for the phase that the cluster is in, 0 for every other phase',
    labels: ['phase'],
    samplesOf: ({ phase }) => stateSet(phases, phase, 'phase'),
  },
  {
    name: 'perijove_workflow_running',
    type: 'gauge',
    help: 'Whether the workflow runs; a paused keeper runs',
    labels: ['workflow'],
    samplesOf: ({ workflows }) =>
      workflowNames.flatMap((workflow) => sample(isRunning(workflows[workflow]), { workflow })),
  },
  {
    name: 'perijove_workflow_state_stale',
    type: 'gauge',
    help: 'Whether the state of the workflows is the last stored one, because no worker responds',
    labels: [],
    samplesOf: ({ stale, workflows }) => sample(known(workflows.keeper, stale)),
  },
  {
    name: 'perijove_keeper_paused',
    type: 'gauge',
    help: 'Whether an operator has paused the keeper',
    labels: [],
    samplesOf: ({ workflows: { keeper } }) => sample(known(keeper, keeper === 'paused')),
  },
  {
    name: 'perijove_keeper_generation',
    type: 'gauge',
    help: 'Generation of the routes that the keeper decided last',
    labels: [],
    samplesOf: ({ jupyter }) => sample(jupyter.generation),
  },
  {
    name: 'perijove_deployment_start_timestamp_seconds',
    type: 'gauge',
    help: 'When the last deployment started',
    labels: [],
    samplesOf: ({ deployment }) => sample(seconds(deployment?.startedAt)),
  },
  {
    name: 'perijove_deployment_failed',
    type: 'gauge',
    help: 'Whether the last deployment failed, was terminated or timed out',
    labels: [],
    samplesOf: ({ deployment }) =>
      sample(deployment && ['failed', 'terminated', 'timed_out'].includes(deployment.state)),
  },
  {
    name: 'perijove_incident_timestamp_seconds',
    type: 'gauge',
    help: 'When the last incident began that was not routine',
    labels: [],
    samplesOf: (status) => sample(seconds(lastIncident(status)?.at)),
  },
  {
    name: 'perijove_incident_duration_seconds',
    type: 'gauge',
    help: 'How long the last incident took that was not routine',
    labels: [],
    samplesOf: (status) => {
      const incident = lastIncident(status);
      return sample(incident && incident.tookMs / 1_000);
    },
  },
];

/** The keeper appends; an observer may not rely on it. */
function lastIncident({ incidents }: ClusterStatus): ClusterStatus['incidents'][number] | undefined {
  const grave = incidents.filter(({ routine }) => routine !== true);
  return grave.toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at))[0];
}

const mesosMetrics: readonly StatusMetric[] = [
  {
    name: 'perijove_zookeeper_up',
    type: 'gauge',
    help: 'Whether the ZooKeeper server serves; 0 if its host reports that it does not',
    labels: ['host'],
    samplesOf: ({ zookeeper }) =>
      zookeeper.members.flatMap(({ host, mode }) => sample(isServing(mode), { host })),
  },
  {
    name: 'perijove_zookeeper_leading',
    type: 'gauge',
    help: 'Whether the ZooKeeper server leads its ensemble, or is the only one',
    labels: ['host'],
    samplesOf: ({ zookeeper }) =>
      zookeeper.members.flatMap(({ host, mode }) =>
        sample(isServing(mode) && (mode === 'leader' || mode === 'standalone'), { host }),
      ),
  },
  {
    name: 'perijove_mesos_master_up',
    type: 'gauge',
    help: 'Whether the Mesos master answers; 0 if its host reports that it does not run',
    labels: ['host'],
    samplesOf: ({ mesos }) => mesos.masters.flatMap(({ host, state }) => sample(isUp(state), { host })),
  },
  {
    name: 'perijove_mesos_master_leading',
    type: 'gauge',
    help: 'Whether the Mesos master leads',
    labels: ['host'],
    samplesOf: ({ mesos }) =>
      mesos.masters.flatMap(({ host, state }) => sample(isUp(state) && state === 'leading', { host })),
  },
  {
    name: 'perijove_mesos_master_start_timestamp_seconds',
    type: 'gauge',
    help: 'When the process of the Mesos master started',
    labels: ['host'],
    samplesOf: ({ mesos }) =>
      mesos.masters.flatMap(({ host, startedAt }) => sample(seconds(startedAt), { host })),
  },
  {
    name: 'perijove_mesos_master_log_recovered',
    type: 'gauge',
    help: "Whether the master's replica takes part in the replicated log",
    labels: ['host'],
    samplesOf: ({ mesos }) =>
      mesos.masters.flatMap(({ host, logRecovered }) => sample(logRecovered, { host })),
  },
  {
    name: 'perijove_mesos_agent_registered',
    type: 'gauge',
    help: 'Whether the Mesos agent is registered with the leading master and connected',
    labels: ['host'],
    samplesOf: ({ mesos }) =>
      mesos.agents.flatMap(({ host, state }) =>
        sample(state === 'unknown' ? null : state === 'registered', { host }),
      ),
  },
  {
    name: 'perijove_framework_connected',
    type: 'gauge',
    help: 'Whether the framework is connected, according to the leading master',
    labels: [],
    samplesOf: ({ framework }) => sample(framework.connected),
  },
  {
    name: 'perijove_framework_failed',
    type: 'gauge',
    help: 'Whether the scheduler of the framework gave up',
    labels: [],
    samplesOf: ({ framework, workflows }) => sample(known(workflows.framework, framework.failure !== null)),
  },
  {
    name: 'perijove_task_running',
    type: 'gauge',
    help: "Whether the node's Mesos task runs",
    labels: ['node'],
    samplesOf: ({ framework, workflows }) =>
      framework.tasks.flatMap(({ node, state }) =>
        sample(known(workflows.framework, state === 'TASK_RUNNING'), { node }),
      ),
  },
  {
    name: 'perijove_host_cordoned',
    type: 'gauge',
    help: 'Whether `perijove drain` has closed the host to nodes',
    labels: ['host'],
    samplesOf: ({ framework: { cordons }, mesos, workflows }) =>
      [...new Set([...mesos.agents.map(({ host }) => host), ...cordons])].flatMap((host) =>
        sample(known(workflows.framework, cordons.includes(host)), { host }),
      ),
  },
];

const nodeMetrics: readonly StatusMetric[] = [
  {
    name: 'perijove_etcd_member_healthy',
    type: 'gauge',
    help: 'Whether the etcd member answers and knows a leader; without samples while no member answers',
    labels: ['node'],
    samplesOf: ({ etcd }) =>
      etcd.members.some(({ healthy }) => healthy)
        ? etcd.members.flatMap(({ node, healthy }) => sample(healthy, { node }))
        : [],
  },
  {
    name: 'perijove_etcd_leading',
    type: 'gauge',
    help: 'Whether a majority of etcd agrees that the node leads; without samples while it agrees on none',
    labels: ['node'],
    samplesOf: ({ etcd: { leader, members } }) =>
      members.flatMap(({ node }) => sample(leader === null ? null : node === leader, { node })),
  },
  {
    name: 'perijove_etcd_term',
    type: 'gauge',
    help: 'Raft term of etcd',
    labels: [],
    samplesOf: ({ etcd }) => sample(etcd.term),
  },
  {
    name: 'perijove_etcd_recoveries_total',
    type: 'counter',
    help: 'How many times a lost quorum of etcd was recovered',
    labels: [],
    samplesOf: ({ etcd }) => sample(etcd.term === null ? null : (etcd.epoch ?? 0)),
  },
  {
    name: 'perijove_jupyter_state',
    type: 'gauge',
    help: '1 for the state that Jupyter on the node is in, 0 for every other state',
    labels: ['node', 'state'],
    samplesOf: ({ jupyter }) =>
      jupyter.nodes.flatMap(({ node, state }) => stateSet(jupyterStates, state, 'state', { node })),
  },
  {
    name: 'perijove_jupyter_serving',
    type: 'gauge',
    help: 'Whether users are on the Jupyter of the node',
    labels: ['node'],
    samplesOf: ({ jupyter }) =>
      jupyter.nodes.flatMap(({ node, state }) =>
        sample(node === jupyter.node || (state === null ? null : false), { node }),
      ),
  },
  {
    name: 'perijove_jupyter_kernels',
    type: 'gauge',
    help: 'Number of kernels on the node',
    labels: ['node'],
    samplesOf: ({ jupyter }) => jupyter.nodes.flatMap(({ node, kernels }) => sample(kernels, { node })),
  },
  {
    name: 'perijove_proxy_healthy',
    type: 'gauge',
    help: "Whether Jupyter answers through the host's proxy at the keeper's generation",
    labels: ['host'],
    samplesOf: ({ proxies }) =>
      proxies.flatMap(({ host, healthy, generation }) =>
        sample(generation === null ? null : healthy, { host }),
      ),
  },
  {
    name: 'perijove_proxy_generation',
    type: 'gauge',
    help: "Generation of the route in the host's proxy",
    labels: ['host'],
    samplesOf: ({ proxies }) => proxies.flatMap(({ host, generation }) => sample(generation, { host })),
  },
  {
    name: 'perijove_certificate_expiry_timestamp_seconds',
    type: 'gauge',
    help: 'Until when the certificate is valid; `place` is a host, or a node for what its etcd shows',
    labels: ['certificate', 'place'],
    samplesOf: ({ proxies, etcd }) =>
      [
        ...proxies.map(({ host, certificate }) => ['https', host, certificate] as const),
        ...(etcd.certificates ?? []).map(({ host, name, certificate }) => [name, host, certificate] as const),
        ...etcd.members.map(({ node, certificate }) => ['etcd', node, certificate] as const),
      ].flatMap(([certificate, place, expiry]) =>
        sample(seconds(expiry?.validUntil), { certificate, place }),
      ),
  },
  {
    name: 'perijove_storage_brick_online',
    type: 'gauge',
    help: 'Whether the GlusterFS brick of the host is online',
    labels: ['host'],
    samplesOf: ({ storage }) => storage.bricks.flatMap(({ host, online }) => sample(online, { host })),
  },
  {
    name: 'perijove_storage_brick_pending_files',
    type: 'gauge',
    help: "Number of files on the host's brick that other bricks lack",
    labels: ['host'],
    samplesOf: ({ storage }) => storage.bricks.flatMap(({ host, pending }) => sample(pending, { host })),
  },
];

/** Every metric that `statusMetrics` writes, in its order. */
export const statusMetricCatalogue: readonly StatusMetric[] = [
  ...clusterMetrics,
  ...mesosMetrics,
  ...nodeMetrics,
];

/** The document of `status --json` in Prometheus's text format. Every sample has the label `cluster`. */
export function statusMetrics(status: ClusterStatus): string {
  return exposition(
    statusMetricCatalogue.map((metric) => ({
      metric,
      samples: metric
        .samplesOf(status)
        .map(({ labels, value }) => ({ labels: { cluster: status.cluster, ...labels }, value })),
    })),
  );
}
