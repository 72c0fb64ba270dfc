import { setTimeout as delay } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { nodeNames, type ClusterSpec } from '../cluster/spec.js';
import { PerijoveError } from '../errors/error.js';
import { teardownFramework } from '../mesos/scheduler/scheduler.js';
import {
  configureFramework,
  markEtcdFormed,
  stopFramework,
  workflowIds,
  workflowNames,
  type ConfigureResult,
  type FrameworkState,
  type StopFrameworkResult,
} from '../temporal/contract.js';
import type { ActivityDeps } from './deps.js';
import { isRunning } from '../temporal/running.js';
import { startOrConfigure } from './lasting-workflow.js';
import { frameworkStateOf } from './workflow-state.js';
import { frameworkWays, type FrameworkWays } from './framework-ways.js';
import { mesosDeps, schedule, type SchedulerInput, type SchedulerRunDeps } from './scheduler-run.js';
import { schedulerTurns } from './scheduler-turns.js';

export interface FrameworkSpecInput {
  readonly spec: ClusterSpec;
}

const awaitEveryMs = 300;
/** Anything missing for less time is not reported. */
const missingSettledMs = 3_000;

export function createFrameworkActivities(
  { client, pool, logger, artifacts }: Pick<ActivityDeps, 'client' | 'pool' | 'logger' | 'artifacts'>,
  ways: FrameworkWays = frameworkWays({ client, pool, artifacts }),
) {
  const deps: SchedulerRunDeps = { client, pool, logger, ways };
  const turns = schedulerTurns();
  return {
    /** Keeps the nodes running and repairs masters until it is cancelled. */
    runScheduler: async (input: SchedulerInput): Promise<void> => {
      const { name } = input.spec;
      const turn = turns.begin(name);
      await turns.end(name, schedule(deps, input, turn));
    },

    /** TEARDOWN; also for a framework that Mesos has but that was not stored. Mesos kills all its tasks. */
    teardownFramework: async ({
      spec,
      frameworkId,
    }: FrameworkSpecInput & { readonly frameworkId?: string }): Promise<void> => {
      const mesos = await mesosDeps(deps, spec);
      await teardownFramework(mesos, frameworkId, Context.current().cancellationSignal);
    },

    /**
     * Starts the framework of the cluster, or gives the spec to the running one, with the nodes' plan of this
     * release. A new framework continues from what the hosts have kept.
     */
    ensureFramework: async ({ spec }: FrameworkSpecInput): Promise<ConfigureResult> =>
      await ensure(client, ways, spec),

    /**
     * Resolves when every node, and no other, runs with the configuration from the spec. Waits without a
     * deadline; the heartbeat names what is missing. With `told`, what was last reported missing, it also
     * resolves when something else has been missing for some seconds.
     *
     * @throws PerijoveError FRAMEWORK_FAILED when the scheduler has given up, FRAMEWORK_ABSENT
     */
    awaitNodes: ({
      spec,
      told,
    }: FrameworkSpecInput & { readonly told?: string | null }): Promise<{
      readonly missing: string | null;
    }> => awaitNodes(client, ways, spec, told),

    /** From now on a node without data joins etcd, and never bootstraps it. */
    markEtcdFormed: async ({ spec }: FrameworkSpecInput): Promise<{ readonly changed: boolean }> => {
      await ways.markFormed(spec);
      const state = await frameworkStateOf(client, spec);
      if (state?.etcdFormed === true) return { changed: false };
      await handleOf(client, spec).executeUpdate(markEtcdFormed);
      return { changed: true };
    },

    /** Ends the framework and waits for the end of its workflow. `undefined`: none ran. */
    stopFramework: ({ spec }: FrameworkSpecInput): Promise<StopFrameworkResult | undefined> =>
      stop(client, spec),
  };
}

export type FrameworkActivities = ReturnType<typeof createFrameworkActivities>;

function handleOf(client: Client, spec: ClusterSpec) {
  return client.workflow.getHandle(workflowIds.framework(spec.name));
}

async function ensure(client: Client, ways: FrameworkWays, spec: ClusterSpec): Promise<ConfigureResult> {
  const plan = await ways.plan(spec);
  const isFirst = !(await isRunning(client, workflowIds.framework(spec.name)));
  const remembered = isFirst ? await ways.remember(spec) : undefined;
  return await startOrConfigure(client, spec, {
    name: workflowNames.framework,
    workflowId: workflowIds.framework(spec.name),
    summary: `Mesos framework of ${spec.name}`,
    configure: configureFramework,
    args: plan === undefined ? [spec] : [spec, plan],
    ...(remembered && { input: { remembered } }),
  });
}

async function stop(client: Client, spec: ClusterSpec): Promise<StopFrameworkResult | undefined> {
  const handle = handleOf(client, spec);
  try {
    const stopped = await handle.executeUpdate(stopFramework);
    await handle.result();
    return stopped;
  } catch (error) {
    // It had already ended, perhaps by an earlier attempt whose response was lost.
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

async function awaitNodes(
  client: Client,
  ways: FrameworkWays,
  spec: ClusterSpec,
  told: string | null | undefined,
): Promise<{ readonly missing: string | null }> {
  const context = Context.current();
  let last = { missing: undefined as string | undefined, since: Date.now() };
  for (;;) {
    const state = await requireFramework(client, spec);
    const waiting = nodesWaiting(spec, state, (index, host) => ways.digest(spec, index, host, state.plan));
    if (waiting.length === 0) return { missing: null };
    const { missing } = state;
    if (missing !== last.missing) last = { missing, since: Date.now() };
    const isNew = told !== undefined && missing !== undefined && missing !== told;
    if (isNew && Date.now() - last.since >= missingSettledMs) return { missing };
    context.heartbeat([missing, ...waiting].filter((text) => text !== undefined).join('. '));
    await delay(awaitEveryMs, undefined, { signal: context.cancellationSignal });
  }
}

/** The state of a running framework whose scheduler has not given up. */
async function requireFramework(client: Client, spec: ClusterSpec): Promise<FrameworkState> {
  const state = await frameworkStateOf(client, spec);
  if (state === undefined) {
    throw new PerijoveError('FRAMEWORK_ABSENT', `no framework workflow is running for ${spec.name}`);
  }
  if (state.failure !== undefined) {
    const { code, message, remedy } = state.failure;
    throw new PerijoveError('FRAMEWORK_FAILED', `the scheduler gave up (${code}): ${message}`, {
      remedy,
    });
  }
  return state;
}

/** A sentence for each node that does not run as specified. */
export function nodesWaiting(
  spec: ClusterSpec,
  state: FrameworkState,
  digest: (index: number, host: string) => string,
): string[] {
  const nodes = nodeNames(spec);
  const surplus = Object.values(state.tasks).filter(({ node }) => !nodes.includes(node));
  return [
    ...nodes.flatMap((node, index) => {
      const task = state.tasks[node];
      if (task === undefined) return [`${node} has no task yet`];
      if (task.retiring) return [`${node} on ${task.host} has left etcd and will be relaunched`];
      if (task.state !== 'TASK_RUNNING') return [`${node} on ${task.host} is in state ${task.state}`];
      if (!spec.hosts.some(({ name }) => name === task.host))
        return [`${node} will move from ${task.host}, which the spec no longer contains`];
      return digest(index, task.host) === task.config ? [] : [`${node} still has its previous configuration`];
    }),
    ...surplus.map(({ node, host }) => `${node} on ${host} will be stopped`),
  ];
}
