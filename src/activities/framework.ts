import { setTimeout as delay } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { ClusterIdentity } from '../cluster/identity.js';
import { hostsWithRole, nodeNames, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { withLeaving } from '../deployment/leaving.js';
import { messageOf, PerijoveError } from '../errors/error.js';
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
import { limit } from '../net/deadline.js';
import { storedState } from '../temporal/running.js';
import type { ActivityDeps } from './deps.js';
import { askRunning, askToDo } from './asking.js';
import { endIncompatible, startOrConfigure } from './lasting-workflow.js';
import { pauses } from './poll.js';
import { frameworkStateOf, schedulerFailed } from './workflow-state.js';
import { frameworkWays, type FrameworkWays } from './framework-ways.js';
import { mesosDeps, schedule, type SchedulerInput, type SchedulerRunDeps } from './scheduler-run.js';
import { schedulerTurns } from './scheduler-turns.js';

export interface FrameworkSpecInput {
  readonly spec: ClusterSpec;
}

export interface ConfigureInput extends FrameworkSpecInput {
  readonly identity?: ClusterIdentity;
  /** Hosts without roles that the spec lacks: their nodes move, and they are reached meanwhile. */
  readonly leaving?: readonly HostSpec[];
}

const awaitEveryMs = 300;
/** As long as the workflow gives Mesos for it. */
const teardownMs = 60_000;
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
    ensureFramework: async (input: ConfigureInput): Promise<ConfigureResult> =>
      await ensure(client, ways, input),

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
      await askToDo(client, workflowIds.framework(spec.name), (handle, updateId) =>
        handle.executeUpdate(markEtcdFormed, { updateId }),
      );
      return { changed: true };
    },

    /** Ends the framework and waits for the end of its workflow. `undefined`: none ran. */
    stopFramework: ({ spec }: FrameworkSpecInput): Promise<StopFrameworkResult | undefined> =>
      stop(client, spec, async (frameworkId) => {
        const mesos = await mesosDeps(deps, spec);
        const limited = limit(teardownMs, Context.current().cancellationSignal);
        await teardownFramework(mesos, frameworkId, limited.signal);
      }),
  };
}

export type FrameworkActivities = ReturnType<typeof createFrameworkActivities>;

async function ensure(
  client: Client,
  ways: FrameworkWays,
  { spec: given, identity, leaving = [] }: ConfigureInput,
): Promise<ConfigureResult> {
  const plan = await ways.plan(given);
  const spec = withLeaving(given, leaving);
  const isFirst = !(await askRunning(client, workflowIds.framework(spec.name)));
  const remembered = isFirst ? await ways.remember(spec) : undefined;
  const { answer, restarted } = await startOrConfigure(client, spec, {
    name: workflowNames.framework,
    workflowId: workflowIds.framework(spec.name),
    summary: `Mesos framework of ${spec.name}`,
    configure: configureFramework,
    args: [spec, plan, identity],
    ...(remembered && { input: { remembered } }),
    // Without a plan it would begin to replace the nodes.
    ...(plan && { resumedWith: { plan } }),
  });
  return restarted ? 'restarted' : answer;
}

async function stop(
  client: Client,
  spec: ClusterSpec,
  tearDown: (frameworkId: string | undefined) => Promise<void>,
): Promise<StopFrameworkResult | undefined> {
  const workflowId = workflowIds.framework(spec.name);
  let result: StopFrameworkResult = { tornDown: false };
  const isEnded = await endIncompatible(client, workflowId, async (described) => {
    const { cancellationSignal } = Context.current();
    try {
      await tearDown(storedState<FrameworkState>(described)?.frameworkId);
      result = { tornDown: true };
    } catch (error) {
      cancellationSignal.throwIfAborted();
      // Mesos may be down already, or for good.
      result = { tornDown: false, reason: messageOf(error) };
    }
  });
  if (isEnded) return result;
  try {
    const stopped = await askToDo(client, workflowId, (handle, updateId) =>
      handle.executeUpdate(stopFramework, { updateId }),
    );
    await askToDo(client, workflowId, (handle) => handle.result());
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
  const pauseAfter = pauses(awaitEveryMs);
  let last = { missing: undefined as string | undefined, since: Date.now() };
  for (;;) {
    const state = await requireFramework(client, spec);
    const waiting = nodesWaiting(spec, state, (index, host) => ways.digest(spec, index, host, state.plan));
    if (waiting.length === 0) return { missing: null };
    const { missing } = state;
    if (missing !== last.missing) last = { missing, since: Date.now() };
    const isNew = told !== undefined && missing !== undefined && missing !== told;
    if (isNew && Date.now() - last.since >= missingSettledMs) return { missing };
    const text = [missing, ...waiting].filter((each) => each !== undefined).join('. ');
    context.heartbeat(text);
    await delay(pauseAfter(text), undefined, { signal: context.cancellationSignal });
  }
}

/** The state of a running framework whose scheduler has not given up. */
async function requireFramework(client: Client, spec: ClusterSpec): Promise<FrameworkState> {
  const state = await frameworkStateOf(client, spec);
  if (state === undefined) {
    throw new PerijoveError('FRAMEWORK_ABSENT', `no framework workflow is running for ${spec.name}`);
  }
  if (state.failure !== undefined) throw schedulerFailed(state.failure);
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
      if (!hostsWithRole(spec, 'agent').some(({ name }) => name === task.host))
        return [`${node} will move from ${task.host}, which the spec gives no agent`];
      return digest(index, task.host) === task.config ? [] : [`${node} still has its previous configuration`];
    }),
    ...surplus.map(({ node, host }) => `${node} on ${host} will be stopped`),
  ];
}
