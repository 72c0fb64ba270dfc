import { setTimeout as delay } from 'node:timers/promises';
import { hostname } from 'node:os';
import { Context } from '@temporalio/activity';
import { WithStartWorkflowOperation, WorkflowNotFoundError, type Client } from '@temporalio/client';
import { messageOf, PerijoveError } from '../errors/error.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import { nodeIndex, type NodeCommand } from '../mesos/scheduler/launch.js';
import { watchLeader } from '../mesos/masters/leader-watch.js';
import { careForMasters } from '../mesos/masters/care.js';
import { masterReach } from '../mesos/masters/http.js';
import { runScheduler, teardownFramework } from '../mesos/scheduler/scheduler.js';
import {
  readSchedulerSecrets,
  type MesosSecrets,
  type SchedulerSecrets,
} from '../mesos/installation/secrets.js';
import { parseTaskId } from '../mesos/scheduler/tasks.js';
import type { PresumedTask } from '../mesos/fencing/fences.js';
import type { Leave } from '../mesos/scheduler/deps.js';
import type { NodeTask } from '../mesos/scheduler/tasks.js';
import { nodeClient } from '../node/client.js';
import { nodeImage } from '../node/image/image.js';
import { configDigest, nodeCommand, nodeConfig } from '../node/config.js';
import { fenceNode, type FenceAnswer } from '../node/fence.js';
import { nodeAddress, nodeNames, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { sshReach, type Reach } from '../ssh/reach.js';
import {
  configureFramework,
  frameworkState,
  keeperState,
  markEtcdFormed,
  noteIncident,
  stopFramework,
  workflowIds,
  workflowNames,
  type ConfigureResult,
  type FrameworkInput,
  type FrameworkState,
  type Incident,
  type StopFrameworkResult,
} from '../temporal/contract.js';
import { lasting } from '../temporal/options.js';
import type { ActivityDeps } from './deps.js';
import { workflowStore } from './framework-store.js';
import { hostOf } from '../cluster/host-of.js';
import { retire, vacate, type RetirementDeps } from './retirement.js';
import { runningState } from '../temporal/running.js';
import { startOptions } from '../temporal/start-options.js';
import { schedulerTurns } from './scheduler-turns.js';

export interface FrameworkSpecInput {
  readonly spec: ClusterSpec;
}

/** What is different in tests: how the cluster is reached, and what its nodes run. */
export interface FrameworkWays {
  reach(spec: ClusterSpec): Reach;
  secrets(spec: ClusterSpec): Promise<SchedulerSecrets>;
  command(
    spec: ClusterSpec,
    index: number,
    host: HostSpec,
    facts: { readonly etcdFormed: boolean; readonly taskId: string },
  ): NodeCommand;
  digest(spec: ClusterSpec, index: number, host: HostSpec): string;
  /** As `SchedulerDeps` has them. */
  healthy(spec: ClusterSpec, node: string, host?: string): Promise<Observation<boolean>>;
  vacate(spec: ClusterSpec, node: string, leaves: boolean): Promise<Leave>;
  retire(spec: ClusterSpec, task: Pick<NodeTask, 'node' | 'taskId'>): Promise<Leave>;
  /** Has the host end everything of a task. */
  fence(spec: ClusterSpec, task: PresumedTask): Promise<FenceAnswer>;
}

const awaitEveryMs = 300;
/** What is missing for less is no news. */
const missingSettledMs = 3_000;

export function createFrameworkActivities(
  { client, pool, logger }: Pick<ActivityDeps, 'client' | 'pool' | 'logger'>,
  ways: FrameworkWays = waysOver(client, pool),
) {
  const handleOf = (spec: ClusterSpec) => client.workflow.getHandle(workflowIds.framework(spec.name));
  const turns = schedulerTurns();
  const mesosDeps = async (spec: ClusterSpec) => {
    const reach = ways.reach(spec);
    const wanted = spec.mesos.principal !== undefined || spec.zookeeper.digest;
    const secrets: MesosSecrets = wanted ? await ways.secrets(spec) : {};
    return {
      spec,
      leaders: (signal: AbortSignal) => watchLeader(reach, spec, signal, secrets),
      dial: masterReach(spec, reach),
      ...(secrets.credential && {
        credential: secrets.credential,
        renewed: async () => (await ways.secrets(spec)).credential,
      }),
      logger: logger.child({ cluster: spec.name }),
    };
  };

  return {
    /** Keeps the nodes running and the masters in order, until it is cancelled. `run` tells one start of this activity from the next. */
    runScheduler: async ({ spec, run }: FrameworkSpecInput & { readonly run: number }): Promise<void> => {
      const { info, cancellationSignal: signal } = Context.current();
      const turn = turns.begin(spec.name);
      const store = workflowStore({
        client,
        workflowId: info.workflowExecution?.workflowId ?? workflowIds.framework(spec.name),
        lease: { run, attempt: info.attempt },
        worker: `${process.pid}@${hostname()}`,
        signal,
      });
      const deps = await mesosDeps(spec);
      const ended = new AbortController();
      // What it has begun when this ends goes on by itself, or is gone on with by the next one.
      void careForMasters(
        {
          spec,
          logger: deps.logger,
          reach: ways.reach(spec),
          credential: async () =>
            spec.mesos.principal === undefined ? undefined : (await ways.secrets(spec)).credential,
          connect: (host) => pool.get(host),
          paused: () => pauseOf(client, spec),
          told: async () => (await stateOf(client, spec))?.masters ?? {},
          tell: (masters) => store.storeMasters(masters),
          note: (incident) => noteAtKeeper(client, spec, incident),
        },
        AbortSignal.any([signal, ended.signal]),
      );
      try {
        const running = runScheduler(
          {
            ...deps,
            store,
            command: (node, host, facts) => ways.command(spec, nodeIndex(node), hostOf(spec, host), facts),
            configOf: (node, host) => ways.digest(spec, nodeIndex(node), hostOf(spec, host)),
            healthy: (node, host) => ways.healthy(spec, node, host),
            vacate: (node, leaves) => ways.vacate(spec, node, leaves),
            retire: (task) => ways.retire(spec, task),
            fence: (task) => ways.fence(spec, task),
            handOver: turn,
          },
          signal,
        );
        await turns.end(spec.name, running);
      } finally {
        ended.abort();
      }
    },

    /** TEARDOWN; also for a framework that Mesos has and nobody stored. Mesos kills all its tasks. */
    teardownFramework: async ({
      spec,
      frameworkId,
    }: FrameworkSpecInput & { readonly frameworkId?: string }): Promise<void> => {
      const deps = await mesosDeps(spec);
      await teardownFramework(deps, frameworkId, Context.current().cancellationSignal);
    },

    /** Starts the framework of the cluster, or hands the spec to the one that runs. */
    ensureFramework: async ({ spec }: FrameworkSpecInput): Promise<ConfigureResult> => {
      const { info } = Context.current();
      const input: FrameworkInput = { spec };
      return await client.workflow.executeUpdateWithStart(configureFramework, {
        args: [spec],
        // Of this activity: a retry after a lost answer gets the first attempt's answer.
        updateId: `${info.workflowExecution?.runId ?? ''}/${info.activityId}`,
        startWorkflowOperation: new WithStartWorkflowOperation(workflowNames.framework, {
          workflowId: workflowIds.framework(spec.name),
          args: [input],
          ...lasting,
          workflowIdConflictPolicy: 'USE_EXISTING',
          ...startOptions(spec.name, `Mesos framework of ${spec.name}`),
        }),
      });
    },

    /**
     * Resolves when every node runs with the configuration that the spec gives it, and no other does. It waits as
     * long as it takes; the heartbeat says what for. With `told`, what was last found to be missing, it resolves,
     * too, when something else has been missing for some seconds.
     *
     * @throws PerijoveError FRAMEWORK_FAILED when the scheduler has given up, FRAMEWORK_ABSENT
     */
    awaitNodes: async ({
      spec,
      told,
    }: FrameworkSpecInput & { readonly told?: string | null }): Promise<{
      readonly missing: string | null;
    }> => {
      const context = Context.current();
      let seen = { missing: undefined as string | undefined, at: Date.now() };
      for (;;) {
        const state = await stateOf(client, spec);
        if (state === undefined) {
          throw new PerijoveError('FRAMEWORK_ABSENT', `No framework workflow runs for ${spec.name}.`);
        }
        if (state.failure !== undefined) {
          const { code, message, remedy } = state.failure;
          throw new PerijoveError('FRAMEWORK_FAILED', `The scheduler has given up (${code}): ${message}`, {
            remedy,
          });
        }
        const waiting = nodesWaiting(spec, state, (index, host) =>
          ways.digest(spec, index, hostOf(spec, host)),
        );
        if (waiting.length === 0) return { missing: null };
        const { missing } = state;
        if (missing !== seen.missing) seen = { missing, at: Date.now() };
        const isNews = told !== undefined && missing !== undefined && missing !== told;
        if (isNews && Date.now() - seen.at >= missingSettledMs) return { missing };
        context.heartbeat([state.missing, ...waiting].filter((text) => text !== undefined).join('. '));
        await delay(awaitEveryMs, undefined, { signal: context.cancellationSignal });
      }
    },

    /** From now on a node without data joins etcd, and never bootstraps it. */
    markEtcdFormed: async ({ spec }: FrameworkSpecInput): Promise<{ readonly changed: boolean }> => {
      const state = await stateOf(client, spec);
      if (state?.etcdFormed === true) return { changed: false };
      await handleOf(spec).executeUpdate(markEtcdFormed);
      return { changed: true };
    },

    /** Ends the framework and waits for the end of its workflow. `undefined`: none ran. */
    stopFramework: async ({ spec }: FrameworkSpecInput): Promise<StopFrameworkResult | undefined> => {
      const handle = handleOf(spec);
      try {
        const stopped = await handle.executeUpdate(stopFramework);
        await handle.result();
        return stopped;
      } catch (error) {
        // It had ended before; perhaps by an earlier attempt whose answer was lost.
        if (error instanceof WorkflowNotFoundError) return undefined;
        throw error;
      }
    },
  };
}

export type FrameworkActivities = ReturnType<typeof createFrameworkActivities>;

function waysOver(client: Client, pool: ActivityDeps['pool']): FrameworkWays {
  const nodeOf = async (spec: ClusterSpec, node: string, token: string, host?: string) => {
    const address = nodeAddress(spec, nodeIndex(node));
    const port = spec.nodes.controlPort;
    const reach = sshReach(pool, spec);
    const way = host === undefined ? reach.any(address, port) : reach.via(host, address, port);
    return nodeClient(await way, token);
  };
  const statusOf = async (spec: ClusterSpec, node: string, token: string, host?: string) =>
    (await nodeOf(spec, node, token, host)).status();
  const retirement = (spec: ClusterSpec): RetirementDeps => ({
    client,
    reach: sshReach(pool, spec),
    spec,
    node: async (name) => nodeOf(spec, name, (await readSchedulerSecrets(pool, spec)).nodeApiToken),
  });
  return {
    reach: (spec) => sshReach(pool, spec),
    secrets: (spec) => readSchedulerSecrets(pool, spec),
    command: (spec, index, host, facts) => {
      const image = nodeImage(spec);
      const command = nodeCommand(spec, index, host, facts);
      return image === undefined ? command : { ...command, image: image.reference };
    },
    digest: (spec, index, host) => configDigest(nodeConfig(spec, index, host), nodeImage(spec)?.reference),
    healthy: async (spec, node, host) => {
      try {
        const { nodeApiToken } = await readSchedulerSecrets(pool, spec);
        return known((await statusOf(spec, node, nodeApiToken, host)).etcd.state === 'running');
      } catch (error) {
        if (!(error instanceof PerijoveError)) throw error;
        // Only a node that does not answer is down; after any other error its state is not known.
        return error.code === 'NODE_UNREACHABLE' ? known(false) : notKnown(messageOf(error));
      }
    },
    vacate: (spec, node, leaves) => vacate(retirement(spec), node, leaves),
    retire: (spec, task) => retire(retirement(spec), task),
    fence: async (spec, { node, taskId, host: name }) => {
      // The token is read from hosts, which may all be silent; a refusal is an answer, too.
      const answersItself = () => answers(() => statusOf(spec, node, 'none'));
      const fenceOn = async (host: HostSpec): Promise<FenceAnswer> => {
        const { base, bin } = nodeConfig(spec, nodeIndex(node), host).paths;
        const launch = parseTaskId(taskId)?.launch ?? 0;
        const container = spec.nodes.containerizer === 'docker';
        const fenced = { node, base, program: `${bin}/perijove-node`, launch, container };
        return await fenceNode(() => pool.get(host), fenced, answersItself);
      };
      // Found with an agent that its master does not reach: the host is not told then, so all of them are asked.
      const hosts = spec.hosts.filter(
        (each) => each.name === name || (name === '' && each.roles.includes('agent')),
      );
      if (hosts.length === 0) {
        const why = `the spec has no host ${name} any more`;
        return { kind: (await answersItself()) ? 'alive' : 'silent', why };
      }
      return leastSure(await Promise.all(hosts.map(fenceOn)));
    },
  };
}

/** Of what several hosts say of one node: what keeps it from being given up. */
export function leastSure(answers: readonly FenceAnswer[]): FenceAnswer {
  const kinds = ['alive', 'unclear', 'silent'] as const;
  const [first] = kinds.flatMap((kind) => answers.filter((answer) => answer.kind === kind));
  return first ?? { kind: 'gone' };
}

/** Whether anybody answers at all. */
async function answers(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask();
    return true;
  } catch (error) {
    if (!(error instanceof PerijoveError)) throw error;
    return error.code === 'NODE_AUTH_FAILED' || error.code === 'NODE_REFUSED';
  }
}

/** Why an operator wants nothing repaired now; undefined when nobody does, and when no keeper runs. */
async function pauseOf(client: Client, spec: ClusterSpec): Promise<string | undefined> {
  const keeper = await runningState(client, workflowIds.keeper(spec.name), keeperState);
  return keeper?.paused && `the keeper is paused since ${keeper.paused.since}`;
}

/** @throws WorkflowNotFoundError while no keeper runs */
async function noteAtKeeper(client: Client, spec: ClusterSpec, incident: Incident): Promise<void> {
  const handle = client.workflow.getHandle(workflowIds.keeper(spec.name));
  const { incidents } = await handle.query(keeperState);
  const isKnown = incidents.some(({ at, what }) => at === incident.at && what === incident.what);
  if (!isKnown) await handle.executeUpdate(noteIncident, { args: [incident] });
}

/** The state of the cluster's framework; undefined when its workflow does not run. */
async function stateOf(client: Client, spec: ClusterSpec): Promise<FrameworkState | undefined> {
  return await runningState(client, workflowIds.framework(spec.name), frameworkState);
}

/** A sentence for each node that does not run as the spec wants it. */
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
      if (task.retiring) return [`${node} on ${task.host} has left etcd, and is to be launched anew`];
      if (task.state !== 'TASK_RUNNING') return [`${node} on ${task.host} is in state ${task.state}`];
      return digest(index, task.host) === task.config ? [] : [`${node} runs with an older configuration`];
    }),
    ...surplus.map(({ node, host }) => `${node} on ${host} is to end`),
  ];
}
