import { hostname } from 'node:os';
import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { hostOf } from '../cluster/host-of.js';
import { defaultPrincipal, type ClusterSpec } from '../cluster/spec.js';
import type { MesosSecrets } from '../mesos/installation/secrets.js';
import { careForMasters } from '../mesos/masters/care.js';
import { masterReach } from '../mesos/masters/http.js';
import { watchLeader } from '../mesos/masters/leader-watch.js';
import type { HandOver } from '../mesos/scheduler/deps.js';
import { nodeIndex } from '../mesos/scheduler/launch.js';
import { runScheduler } from '../mesos/scheduler/scheduler.js';
import { scope } from '../net/scope.js';
import type { NodePlan } from '../node/plan.js';
import { workflowIds } from '../temporal/contract.js';
import { noteAtKeeper } from './incidents.js';
import type { ActivityDeps } from './deps.js';
import { workflowStore } from './framework-store.js';
import { frameworkStateOf, keeperStateOf } from './workflow-state.js';
import type { FrameworkWays } from './framework-ways.js';

export type SchedulerRunDeps = Pick<ActivityDeps, 'client' | 'pool' | 'logger'> & {
  readonly ways: FrameworkWays;
};

/** How to find and reach the masters of a cluster, and the credential that they require. */
export async function mesosDeps({ logger, ways }: SchedulerRunDeps, spec: ClusterSpec) {
  const reach = ways.reach(spec);
  const needsSecrets = spec.mesos.principal !== undefined || spec.zookeeper.digest;
  const secrets: MesosSecrets = needsSecrets ? await ways.secrets(spec) : {};
  return {
    spec,
    leaders: (signal: AbortSignal) => watchLeader(reach, spec, signal, secrets),
    dial: masterReach(spec, reach),
    ...(secrets.credential && { credential: secrets.credential }),
    // Masters may require one that the next spec, which has not come here yet, has them require.
    renewed: async () => (await ways.secrets(authenticated(spec))).credential,
    logger: logger.child({ cluster: spec.name }),
  };
}

function authenticated(spec: ClusterSpec): ClusterSpec {
  const { principal = defaultPrincipal } = spec.mesos;
  return { ...spec, mesos: { ...spec.mesos, principal } };
}

export interface SchedulerInput {
  readonly spec: ClusterSpec;
  /** Distinguishes one start of the activity from the next. */
  readonly run: number;
  /** Undefined in a framework from an earlier release, until the next `up`. */
  readonly plan?: NodePlan;
}

/** Runs the scheduler and repairs masters until the activity is cancelled. */
export async function schedule(
  deps: SchedulerRunDeps,
  { spec, run, plan }: SchedulerInput,
  handOver: HandOver,
): Promise<never> {
  const { ways } = deps;
  const { cancellationSignal: signal } = Context.current();
  const store = storeOf(deps.client, spec, run);
  const mesos = await mesosDeps(deps, spec);
  const ending = scope(signal);
  // A repair that has begun when this ends goes on, or the next scheduler continues it.
  void careForMasters(masterCare(deps, spec, store, mesos.logger), ending.signal);
  try {
    return await runScheduler(
      {
        ...mesos,
        store,
        command: (node, host, facts) => ways.command(spec, nodeIndex(node), hostOf(spec, host), facts, plan),
        configOf: (node, host) => ways.digest(spec, nodeIndex(node), host, plan),
        healthy: (node, host) => ways.healthy(spec, node, host),
        vacate: (node, leaves) => ways.vacate(spec, node, leaves),
        retire: (task) => ways.retire(spec, task),
        fence: (task) => ways.fence(spec, task),
        handOver,
      },
      signal,
    );
  } finally {
    ending.abort();
  }
}

function storeOf(client: Client, spec: ClusterSpec, run: number) {
  const { info, cancellationSignal: signal } = Context.current();
  return workflowStore({
    client,
    workflowId: info.workflowExecution?.workflowId ?? workflowIds.framework(spec.name),
    lease: { run, attempt: info.attempt },
    worker: `${process.pid}@${hostname()}`,
    signal,
  });
}

function masterCare(
  { client, pool, ways }: SchedulerRunDeps,
  spec: ClusterSpec,
  store: ReturnType<typeof workflowStore>,
  logger: Parameters<typeof careForMasters>[0]['logger'],
): Parameters<typeof careForMasters>[0] {
  return {
    spec,
    logger,
    reach: ways.reach(spec),
    credential: async () =>
      spec.mesos.principal === undefined ? undefined : (await ways.secrets(spec)).credential,
    connect: (host) => pool.get(host),
    paused: () => pauseOf(client, spec),
    reported: async () => (await frameworkStateOf(client, spec))?.masters ?? {},
    report: (masters) => store.storeMasters(masters),
    note: (incident) => noteAtKeeper(client, spec, incident),
  };
}

/** Why repairs are suspended; undefined when they are not, or no keeper runs. */
async function pauseOf(client: Client, spec: ClusterSpec): Promise<string | undefined> {
  const keeper = await keeperStateOf(client, spec);
  return keeper?.paused && `the keeper has been paused since ${keeper.paused.since}`;
}
