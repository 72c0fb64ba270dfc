import { setTimeout as delay } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { readEtcdAccess } from '../etcd/access.js';
import type { EtcdAccess } from '../etcd/security.js';
import { readSecrets } from '../hosts/secrets.js';
import { createAccess, keeperSecretNames, type KeeperAccess, type KeeperSecrets } from '../keeper/access.js';
import type { ReconcileResult, WatchEvent } from '../keeper/decide.js';
import { drifts } from '../keeper/drift.js';
import { look } from '../keeper/observe.js';
import { moveLeadership, type LeadershipInput, type LeadershipOutcome } from '../keeper/leadership.js';
import { reconcile, type ReconcileInput } from '../keeper/reconciler.js';
import { wantedFor, type Placement } from '../keeper/wanted.js';
import { watch, type WatchInput } from '../keeper/watch.js';
import { messageOf, PerijoveError } from '../errors/error.js';
import { listensAt } from '../hosts/listening.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import { proxyClient } from '../proxy/client.js';
import { proxyConfigSchema, type ProxyConfig } from '../proxy/config.js';
import { proxyConfig, proxyConfigFile } from '../proxy/items.js';
import type { ClusterIdentity } from '../cluster/identity.js';
import { hostsWithRole, nodeNames, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { sshReach, type Reach } from '../ssh/reach.js';
import {
  announceNodes as announceNodesUpdate,
  configureKeeper,
  stopKeeper as stopKeeperUpdate,
  workflowIds,
  workflowNames,
  type FrameworkState,
  type KeeperState,
} from '../temporal/contract.js';
import type { ActivityDeps } from './deps.js';
import type { ServiceMember } from '../deployment/members.js';
import { until } from './poll.js';
import { incompatibility } from '../temporal/incompatibility.js';
import { storedState } from '../temporal/running.js';
import { ask, askRunning, askToDo } from './asking.js';
import { nodeNotes } from './incidents.js';
import { endIncompatible, startOrConfigure } from './lasting-workflow.js';
import { frameworkStateOf, keeperStateOf } from './workflow-state.js';

export interface KeeperSpecInput {
  readonly spec: ClusterSpec;
}

/** How the activities reach a cluster: over SSH, except in tests. */
export interface KeeperWays {
  reach(spec: ClusterSpec): Reach;
  secrets(spec: ClusterSpec): Promise<KeeperSecrets>;
  etcdAccess(spec: ClusterSpec): Promise<EtcdAccess>;
  placement(spec: ClusterSpec): Promise<Placement>;
  /** Where the API of the host's proxy listens by its current configuration; undefined for none. */
  presentProxy(host: HostSpec): Promise<Observation<ProxyConfig['api'] | undefined>>;
  /** Whether anything listens at that address, according to the host itself. */
  listens(host: HostSpec, api: ProxyConfig['api']): Promise<Observation<boolean>>;
}

const observeDeadlineMs = 2_000;
/** A busy keeper may take this long to announce more nodes to the proxies. */
const announceMs = 15_000;
const announcedEveryMs = 100;

export function createKeeperActivities(
  { client, pool }: Pick<ActivityDeps, 'client' | 'pool'>,
  ways: KeeperWays = keeperWays(client, pool),
) {
  const withAccess = <T>(spec: ClusterSpec, work: (access: KeeperAccess) => Promise<T>): Promise<T> =>
    accessing(ways, spec, work);

  return {
    /** Resolves when there is something for the keeper to do. */
    watchCluster: (input: WatchInput): Promise<WatchEvent> =>
      withAccess(input.spec, (access) =>
        watch(access, input, Context.current().cancellationSignal, nodeNotes(client, input.spec)),
      ),

    /** Brings Jupyter, the routes and the hosts files in line with a verdict. */
    reconcileCluster: (input: ReconcileInput): Promise<ReconcileResult> =>
      withAccess(input.spec, (access) => reconcile(access, input, Context.current().cancellationSignal)),

    /** Moves etcd's leadership to a node whose Jupyter is ready. */
    moveLeadership: (input: LeadershipInput): Promise<LeadershipOutcome> =>
      withAccess(input.spec, (access) => moveLeadership(access, input, Context.current().cancellationSignal)),

    /**
     * Announces nodes that will be launched beside the running ones to the keeper, and through it to the
     * proxies: they serve users as soon as one of them leads. Does nothing before a keeper runs. Starts one again that
     * cannot be replayed.
     *
     * @throws PerijoveError KEEPER_PAUSED at once
     */
    announceNodes: ({
      spec,
    }: KeeperSpecInput): Promise<{ readonly changed: boolean; readonly restarted?: true }> =>
      announce(client, spec),

    /** Starts the keeper of the cluster, or gives the spec to the running one. */
    ensureKeeper: ({
      spec,
      identity,
    }: KeeperSpecInput & { readonly identity?: ClusterIdentity }): Promise<{
      readonly changed: boolean;
      readonly restarted?: true;
    }> => ensure(client, spec, identity),

    /**
     * Resolves when Jupyter responds on the leader, and every proxy that responds has its route at the
     * keeper's generation.
     *
     * @throws PerijoveError KEEPER_NOT_SERVING after two minutes, KEEPER_PAUSED at once
     */
    awaitKeeper: ({ spec }: KeeperSpecInput): Promise<KeeperState> =>
      withAccess(spec, (access) => awaitServing(client, access, spec)),

    /** The proxies that respond now, wherever the current configuration of their hosts has them listen. */
    proxyMembers: ({ spec }: KeeperSpecInput): Promise<readonly ServiceMember[]> =>
      Promise.all(hostsWithRole(spec, 'proxy').map((host) => proxyMember(ways, spec, host))),

    /** Ends the keeper and waits for its end. Routes and Jupyter stay unchanged. */
    stopKeeper: ({ spec }: KeeperSpecInput): Promise<{ readonly changed: boolean }> => stop(client, spec),
  };
}

/** Reaches the cluster over SSH. */
function keeperWays(client: Client, pool: SshPool): KeeperWays {
  return {
    reach: (spec) => sshReach(pool, spec),
    secrets: (spec) => readSecrets(pool, spec, keeperSecretNames),
    etcdAccess: (spec) => readEtcdAccess(pool, spec),
    placement: (spec) => storedPlacement(client, spec),
    presentProxy: (host) => presentProxy(pool, host),
    listens: (host, { address, port }) => listensAt(() => pool.get(host), address, port),
  };
}

async function accessing<T>(
  ways: KeeperWays,
  spec: ClusterSpec,
  work: (access: KeeperAccess) => Promise<T>,
): Promise<T> {
  const access = createAccess({
    spec,
    reach: ways.reach(spec),
    secrets: () => ways.secrets(spec),
    etcdAccess: () => ways.etcdAccess(spec),
    placement: () => ways.placement(spec),
  });
  try {
    return await work(access);
  } finally {
    access.close();
  }
}

async function announce(
  client: Client,
  spec: ClusterSpec,
): Promise<{ readonly changed: boolean; readonly restarted?: true }> {
  const workflowId = workflowIds.keeper(spec.name);
  const misfits = await ask(client, workflowId, () =>
    Promise.all([workflowId, workflowIds.framework(spec.name)].map((each) => incompatibility(client, each))),
  );
  // Neither could answer. A keeper is needed before nodes are replaced; it learns of all nodes at its start.
  if (misfits[0] !== undefined) {
    const { restarted } = await ensure(client, spec);
    return { changed: false, ...(restarted && { restarted }) };
  }
  if (misfits[1] !== undefined) return { changed: false };
  if (!(await askRunning(client, workflowId)) || !(await grows(client, spec))) return { changed: false };
  const { changed } = await askToDo(client, workflowId, (handle, updateId) =>
    handle.executeUpdate(announceNodesUpdate, { args: [spec.nodes.count], updateId }),
  );
  for (const end = Date.now() + announceMs; Date.now() < end;) {
    const keeper = await keeperStateOf(client, spec);
    if (keeper?.paused) {
      throw new PerijoveError('KEEPER_PAUSED', `the keeper has been paused since ${keeper.paused.since}`);
    }
    if (keeper?.specChanged !== true) break;
    await delay(announcedEveryMs, undefined, { signal: Context.current().cancellationSignal });
  }
  return { changed };
}

async function ensure(
  client: Client,
  spec: ClusterSpec,
  identity?: ClusterIdentity,
): Promise<{ readonly changed: boolean; readonly restarted?: true }> {
  const { answer, restarted } = await startOrConfigure(client, spec, {
    name: workflowNames.keeper,
    workflowId: workflowIds.keeper(spec.name),
    summary: `Keeper of ${spec.name}`,
    configure: configureKeeper,
    args: [spec, identity],
  });
  return restarted ? { changed: true, restarted } : answer;
}

async function awaitServing(client: Client, access: KeeperAccess, spec: ClusterSpec): Promise<KeeperState> {
  return await until(async () => {
    const state = await keeperStateOf(client, spec);
    if (state === undefined) {
      return { not: new PerijoveError('KEEPER_NOT_SERVING', `no keeper of ${spec.name} is running`) };
    }
    if (state.paused) {
      throw new PerijoveError('KEEPER_PAUSED', `the keeper has been paused since ${state.paused.since}`);
    }
    const missing = await missingFor(access, spec, state);
    return missing === undefined
      ? { done: state }
      : { not: new PerijoveError('KEEPER_NOT_SERVING', missing) };
  });
}

async function proxyMember(ways: KeeperWays, spec: ClusterSpec, host: HostSpec): Promise<ServiceMember> {
  const reach = ways.reach(spec);
  const wanted = proxyConfig(spec, host).api;
  if (await proxyAnswers(reach, host.name, wanted)) return { host: host.name, state: 'up' };
  const present = await ways.presentProxy(host);
  if (!present.known) return { host: host.name, state: 'unknown' };
  if (present.value && (await proxyAnswers(reach, host.name, present.value))) {
    return { host: host.name, state: 'up' };
  }
  // A proxy that this worker cannot reach may still serve its users.
  const listens = await ways.listens(host, present.value ?? wanted);
  return { host: host.name, state: !listens.known || listens.value ? 'unknown' : 'down' };
}

async function stop(client: Client, spec: ClusterSpec): Promise<{ readonly changed: boolean }> {
  const workflowId = workflowIds.keeper(spec.name);
  if (!(await askRunning(client, workflowId))) return { changed: false };
  // It has nothing to tear down.
  if (await endIncompatible(client, workflowId)) return { changed: true };
  try {
    await askToDo(client, workflowId, (handle, updateId) =>
      handle.executeUpdate(stopKeeperUpdate, { updateId }),
    );
  } catch (error) {
    // It ended meanwhile; the response to an earlier attempt may have been lost.
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
  await askToDo(client, workflowId, (handle) => handle.result());
  return { changed: true };
}

/** Whether the spec has nodes for which the framework has not launched a task. */
async function grows(client: Client, spec: ClusterSpec): Promise<boolean> {
  const framework = await frameworkStateOf(client, spec);
  return framework !== undefined && nodeNames(spec).some((node) => framework.tasks[node] === undefined);
}

export type KeeperActivities = ReturnType<typeof createKeeperActivities>;

/** What is missing before every host that responds serves users; undefined when nothing is. */
async function missingFor(
  access: KeeperAccess,
  spec: ClusterSpec,
  state: KeeperState,
): Promise<string | undefined> {
  const { generation, verdict, lostSince } = state;
  if (!verdict || lostSince !== undefined) return 'the keeper knows of no etcd leader';
  const wanted = wantedFor(spec, generation, verdict, await access.placement());
  const view = await look(access, wanted, { timeoutMs: observeDeadlineMs });
  const hindrances = drifts(wanted, view).filter(({ kind, subject }) =>
    kind === 'node-silent' ? subject === verdict.leader : kind !== 'proxy-silent',
  );
  if (hindrances.length > 0) return hindrances.map(({ what }) => what).join('; ');
  if (!wanted.proxies.some((host) => view.proxies[host]?.ok)) return 'no proxy responds';
  return state.jupyter === verdict.leader ? undefined : 'the keeper has not finished its last reconcile';
}

/** Any response of its API counts, even the refusal of a call without a token. */
async function proxyAnswers(
  reach: Reach,
  host: string,
  { address, port }: ProxyConfig['api'],
): Promise<boolean> {
  try {
    const endpoint = await reach.via(host, address, port);
    await proxyClient(endpoint, 'none').health();
    return true;
  } catch (error) {
    return error instanceof PerijoveError && error.code === 'PROXY_TOKEN_REFUSED';
  }
}

/** Where the host's proxy was last configured to listen, which may differ from the spec. */
async function presentProxy(
  pool: SshPool,
  host: HostSpec,
): Promise<Observation<ProxyConfig['api'] | undefined>> {
  const file = quote(proxyConfigFile(host));
  try {
    const connection = await pool.get(host);
    const output = await connection.run(`[ -e ${file} ] || { echo none; exit 0; }\ncat ${file}`);
    if (output.trim() === 'none') return known(undefined);
    return known(proxyConfigSchema.parse(JSON.parse(output)).api);
  } catch (error) {
    return notKnown(messageOf(error));
  }
}

/** Where each node runs, as the framework last stored it: reading its memo needs no worker. */
async function storedPlacement(client: Client, spec: ClusterSpec): Promise<Placement> {
  try {
    const workflowId = workflowIds.framework(spec.name);
    const described = await ask(client, workflowId, () => client.workflow.getHandle(workflowId).describe());
    const state = storedState<Partial<FrameworkState>>(described);
    return Object.fromEntries(Object.values(state?.tasks ?? {}).map(({ node, host }) => [node, host]));
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return {};
    throw error;
  }
}
