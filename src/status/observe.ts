/** Observes all parts of a cluster within seconds, even when most of it is down. */
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { QueryDefinition } from '@temporalio/common';
import { messageOf, PerijoveError } from '../errors/error.js';
import { readEtcdAccess } from '../etcd/access.js';
import type { EtcdAccess } from '../etcd/security.js';
import { createEtcdClient } from '../etcd/client.js';
import { probeMember } from '../etcd/probe.js';
import { epochOf, raftTermOf } from '../etcd/term.js';
import { verdict, type Probe } from '../etcd/verdict.js';
import { readSecrets } from '../hosts/secrets.js';
import { keeperSecretNames } from '../keeper/access.js';
import { within } from '../net/deadline.js';
import type { JupyterStatus, NodeStatus } from '../node/api.js';
import { nodeClient } from '../node/client.js';
import { proxyClient } from '../proxy/client.js';
import { servedUntil } from '../proxy/served-certificate.js';
import { expiryOf, type Expiry } from '../cluster/certificate.js';
import {
  brickHosts,
  etcdSecurity,
  hostsWithRole,
  nodeAddress,
  nodeNames,
  proxyApiAddress,
  type ClusterSpec,
  type HostSpec,
} from '../cluster/spec.js';
import type { Endpoint, SshPool } from '../ssh/connection.js';
import { sshReach, type Reach } from '../ssh/reach.js';
import {
  frameworkState,
  keeperState,
  workflowIds,
  type DeployProgress,
  type FrameworkEvent,
  type FrameworkState,
  type KeeperEvent,
  type KeeperState,
} from '../temporal/contract.js';
import { incompatibilityOf, incompatibleText } from '../temporal/incompatibility.js';
import { askWithin, storedState } from '../temporal/running.js';
import { lastWorker, slowOrEnded } from '../temporal/workers.js';
import { brickPath } from '../storage/gluster.js';
import { observeBricks } from '../storage/volume.js';
import { serverStatus } from '../zookeeper/four-letter.js';
import {
  emptyStatus,
  endingCertificates,
  phaseOf,
  shortcomings,
  type ClusterStatus,
  type ClusterObservation,
  type MesosProblem,
  type WorkflowStatus,
} from './cluster-status.js';
import { answerOf, askMs } from './answer-of.js';
import { etcdCertificateNames, type HostCertificate } from './certificates.js';
import { surveyCertificates } from './certificates-survey.js';
import { lostQuorum } from './lost-quorum.js';
import { observeMesosStatus, type MesosStatus } from './observe-mesos.js';

export interface ObserveDeps {
  /** Absent when the Temporal server is unreachable or too slow. */
  readonly client?: Client;
  /** Without a client: whether the server listens and did not answer in time. */
  readonly slow?: boolean;
  readonly pool: SshPool;
}

/** An observation, with the newest events that the workflows remember; none of a workflow that is not known. */
export interface EventfulObservation extends ClusterObservation {
  readonly events: {
    readonly keeper: readonly KeeperEvent[];
    readonly framework: readonly FrameworkEvent[];
  };
}

// A busy host answers late, a dead one never; an observation must finish within a few seconds.
const connectMs = 4_000;

/**
 * Observes the cluster in parallel: its workflows, and its hosts over SSH. Unreachable parts are reported as
 * such. Never rejects for the state of the cluster.
 */
export async function observeCluster(
  { client, pool, slow = false }: ObserveDeps,
  spec: ClusterSpec,
): Promise<EventfulObservation> {
  const [workflows, live] = await Promise.all([
    client ? observeWorkflows(client, spec) : undefined,
    observeHosts(pool, spec),
  ]);
  const framework = workflows?.framework.state;
  const keeper = workflows?.keeper.state;
  const empty = emptyStatus(spec);
  const status: Omit<ClusterStatus, 'phase'> = {
    ...empty,
    ...live.status,
    stale: workflows !== undefined && (workflows.framework.stored || workflows.keeper.stored),
    workflows: {
      deploy: workflows?.deploy.status ?? 'unknown',
      framework: workflows?.framework.status ?? 'unknown',
      keeper: keeperStatus(workflows?.keeper),
    },
    deployment: deploymentOf(workflows?.deploy),
    framework: {
      id: framework?.frameworkId ?? null,
      scheduler: framework?.scheduler ?? null,
      tasks: withSurplus(nodeNames(spec), Object.keys(framework?.tasks ?? {})).map((node) => {
        const task = framework?.tasks[node];
        return {
          node,
          host: task?.host ?? null,
          state: task?.state ?? 'ABSENT',
          taskId: task?.taskId ?? null,
          since: task?.since ?? null,
          message: task?.message ?? null,
          past: framework?.past?.[node] ?? [],
        };
      }),
      ...live.frameworkInMesos(framework?.frameworkId),
      failure: framework?.failure ?? null,
      missing: framework?.missing ?? null,
      cordons: Object.keys(framework?.cordons ?? {}),
    },
    jupyter: { ...live.status.jupyter, generation: keeper?.generation ?? null },
    proxies: live.status.proxies.map((proxy) => ({
      ...proxy,
      healthy: proxy.healthy && (keeper === undefined || proxy.generation === keeper.generation),
    })),
    incidents: keeper?.incidents ?? [],
  };
  const phase = phaseOf(spec, status, {
    ...(workflows?.deploy.began !== undefined && { deploy: workflows.deploy.began }),
    ...(workflows?.teardown.began !== undefined && { teardown: workflows.teardown.began }),
  });
  const causes = [
    ...(client
      ? []
      : [
          `the Temporal server ${slow ? 'does not answer in time' : 'is unreachable'}, so the state of the workflows is unknown`,
        ]),
    ...(keeper?.paused ? [pausedText(keeper.paused)] : []),
    ...(workflows ? misfitTexts(spec.name, workflows) : []),
    ...(status.stale ? [staleText(workflows?.worker)] : []),
    ...live.reasons,
    ...Object.values(framework?.masters ?? {}),
    ...(framework?.missing === undefined ? [] : [framework.missing]),
    ...endingCertificates(spec, status, new Date()),
    ...status.framework.cordons.map(
      (host) => `${host} is drained and gets no nodes until \`perijove uncordon ${host}\``,
    ),
  ];
  const reasons =
    phase === 'ready' || phase === 'absent' ? causes : [...causes, ...shortcomings(spec, status)];
  const { cluster, ...rest } = status;
  const events = { keeper: keeper?.events ?? [], framework: framework?.events ?? [] };
  return { status: { cluster, phase, ...rest }, reasons, events };
}

/** The nodes of the spec, then those not yet removed. */
function withSurplus(wanted: readonly string[], present: readonly string[]): string[] {
  return [...wanted, ...present.filter((node) => !wanted.includes(node)).toSorted()];
}

function keeperStatus(observation: WorkflowObservation<KeeperState> | undefined): WorkflowStatus {
  const status = observation?.status ?? 'unknown';
  return status === 'running' && observation?.state?.paused ? 'paused' : status;
}

function deploymentOf(look: WorkflowObservation<DeployProgress> | undefined): ClusterStatus['deployment'] {
  if (look?.began === undefined) return null;
  const { status, began, state } = look;
  return { state: status, startedAt: began, failure: (status === 'failed' && problemOf(state)) || null };
}

function problemOf(state: DeployProgress | undefined): MesosProblem | undefined {
  if (!state?.failure) return undefined;
  const { code, message, remedy } = state.failure;
  return { code, message, remedy };
}

/** @param worker the one that polled most recently */
function staleText(worker: string | undefined): string {
  const who = worker === undefined ? 'no worker responds' : `the worker ${worker} ${slowOrEnded}`;
  return `${who}, so the state of the workflows is the last stored one`;
}

function misfitTexts(
  cluster: string,
  { framework, keeper }: Record<'framework' | 'keeper', { readonly misfit?: true }>,
): string[] {
  const ids = [
    ...(framework.misfit ? [workflowIds.framework(cluster)] : []),
    ...(keeper.misfit ? [workflowIds.keeper(cluster)] : []),
  ];
  return ids.map(
    (id) => `${incompatibleText(id)}: run \`perijove up\`, which starts it again from its stored state`,
  );
}

function pausedText({ since, reason }: NonNullable<KeeperState['paused']>): string {
  const why = reason === undefined ? '' : ` (${reason})`;
  return `the keeper has been paused since ${since}${why}: run \`perijove resume\` to resume moves and repairs`;
}

// --- workflows ------------------------------------------------------------------------------------------

interface WorkflowObservation<T> {
  readonly status: WorkflowStatus;
  /** ISO 8601. */
  readonly began?: string;
  readonly state?: T;
  /** The state is from the memo of a running workflow that does not respond. */
  readonly stored: boolean;
  /** Its history does not fit the release of its workers. */
  readonly misfit?: true;
}

async function observeWorkflows(client: Client, spec: ClusterSpec) {
  const { name } = spec;
  const [deploy, framework, keeper, teardown] = await Promise.all([
    observeWorkflow<DeployProgress>(client, workflowIds.deploy(name)),
    observeWorkflow<FrameworkState>(client, workflowIds.framework(name), frameworkState),
    observeWorkflow<KeeperState>(client, workflowIds.keeper(name), keeperState),
    observeWorkflow(client, workflowIds.teardown(name)),
  ]);
  const isSilent = framework.stored || keeper.stored;
  const worker = isSilent
    ? await askWithin(client, askMs, () => lastWorker(client)).catch(() => undefined)
    : undefined;
  return { deploy, framework, keeper, teardown, worker: worker?.identity };
}

/** A workflow's own state while it runs; otherwise, or when no worker responds, its last stored state. */
async function observeWorkflow<T>(
  client: Client,
  workflowId: string,
  query?: QueryDefinition<T>,
): Promise<WorkflowObservation<T>> {
  const handle = client.workflow.getHandle(workflowId);
  try {
    const described = await askWithin(client, askMs, () => handle.describe());
    const observation: WorkflowObservation<T> = {
      status: described.status.name.toLowerCase() as WorkflowStatus,
      began: described.startTime.toISOString(),
      stored: false,
    };
    const stored = storedState<T>(described);
    const withMemo = stored === undefined ? observation : { ...observation, state: stored };
    if (!query) return withMemo;
    // The stored state of an ended framework or keeper is outdated.
    if (described.status.name !== 'RUNNING') return observation;
    try {
      return { ...observation, state: await askWithin(client, askMs, () => handle.query(query)) };
    } catch {
      const misfit = await askWithin(client, askMs, () => incompatibilityOf(client, described)).catch(
        () => undefined,
      );
      return { ...withMemo, stored: true, ...(misfit && { misfit: true }) };
    }
  } catch (error) {
    return { status: error instanceof WorkflowNotFoundError ? 'absent' : 'unknown', stored: false };
  }
}

// --- hosts ----------------------------------------------------------------------------------------------

type LiveStatus = Pick<ClusterStatus, 'zookeeper' | 'mesos' | 'etcd' | 'proxies' | 'storage'> & {
  readonly jupyter: Omit<ClusterStatus['jupyter'], 'generation'>;
};

async function observeHosts(
  pool: SshPool,
  spec: ClusterSpec,
): Promise<{
  readonly status: LiveStatus;
  readonly reasons: readonly string[];
  readonly frameworkInMesos: MesosStatus['framework'];
}> {
  const attempts = await Promise.all(
    spec.hosts.map(async (host) => {
      try {
        // Who raised the limit for logins knows that this host is slow.
        const limitMs = Math.max(connectMs, host.ssh.loginTimeoutMs ?? 0);
        const seconds = limitMs / 1000;
        await within(
          limitMs,
          pool.get(host),
          () => new PerijoveError('SSH_TIMEOUT', `${host.name} did not answer SSH within ${seconds} s`),
        );
        return { host };
      } catch (error) {
        return { reason: reasonOf(error, host) };
      }
    }),
  );
  const hosts = attempts.flatMap(({ host }) => host ?? []);
  const reasons = attempts.flatMap(({ reason }) => reason ?? []);
  // Only through reachable hosts: a way through any other one would cost its deadline.
  const reach = sshReach(pool, { hosts });
  const [zookeeper, mesos, etcd, nodesAndProxies, storage] = await Promise.all([
    observeZooKeeper(pool, reach, spec, hosts),
    observeMesosStatus(pool, reach, spec, hosts),
    observeEtcd(pool, reach, spec, hosts),
    observeNodesAndProxies(pool, reach, spec, hosts),
    observeStorage(pool, spec, hosts),
  ]);
  const { jupyter, proxies } = nodesAndProxies;
  const lost = etcd.status.leader === null && 'lost' in nodesAndProxies ? [nodesAndProxies.lost] : [];
  return {
    status: { zookeeper, mesos: mesos.mesos, etcd: etcd.status, jupyter, proxies, storage },
    frameworkInMesos: mesos.framework,
    reasons: [
      ...reasons,
      ...(hosts.length === 0 ? [] : [...lost, ...nodesAndProxies.reasons, ...etcd.reasons]),
    ],
  };
}

function reasonOf(error: unknown, host: HostSpec): string {
  const message = messageOf(error);
  const code = error instanceof PerijoveError ? ` (${error.code})` : '';
  return `${message.includes(host.name) ? message : `${host.name}: ${message}`}${code}`;
}

async function observeZooKeeper(pool: SshPool, reach: Reach, spec: ClusterSpec, hosts: readonly HostSpec[]) {
  const members = hostsWithRole(spec, 'zookeeper').map(async (host) => {
    const place = { host, address: host.address, port: host.ports.zookeeper };
    const answer = await answerOf({ pool, hosts }, place, async () => {
      const endpoint = await reach.via(host.name, place.address, place.port);
      return (await serverStatus(endpoint, askMs)).mode;
    });
    return { host: host.name, mode: 'value' in answer ? answer.value : answer.silence };
  });
  return { members: await Promise.all(members) };
}

async function observeEtcd(pool: SshPool, reach: Reach, spec: ClusterSpec, hosts: readonly HostSpec[]) {
  // Without the certificates, members are not known to be silent: the reason is that of the certificates.
  const [access, kept] = await Promise.all([
    hosts.length === 0 ? undefined : readEtcdAccess(pool, { ...spec, hosts }).catch(messageOf),
    etcdSecurity(spec) === 'open'
      ? undefined
      : surveyCertificates(pool, hosts, etcdCertificateNames, { now: new Date(), timeoutMs: askMs }),
  ]);
  const answers = await Promise.all(
    nodeNames(spec).map(async (node, index) => {
      if (access === undefined || typeof access === 'string') {
        const probe: Probe = { node, ok: false, reason: access ?? 'no host is reachable' };
        return { probe, certificate: null };
      }
      return askMember(node, await reach.any(nodeAddress(spec, index), spec.etcd.clientPort), access);
    }),
  );
  const probes = answers.map(({ probe }) => probe);
  const found = verdict(probes);
  const status: ClusterStatus['etcd'] = {
    leader: found.kind === 'verdict' ? found.verdict.leader : null,
    term: found.kind === 'verdict' ? raftTermOf(found.verdict.term) : null,
    ...(found.kind === 'verdict' &&
      epochOf(found.verdict.term) > 0 && { epoch: epochOf(found.verdict.term) }),
    members: answers.map(({ probe, certificate }) => ({
      node: probe.node,
      healthy: probe.ok && probe.leader !== undefined,
      ...(etcdSecurity(spec) !== 'open' && { certificate }),
    })),
    ...(kept && { certificates: [...kept, ...unreadCertificates(spec, hosts)] }),
  };
  return { status, reasons: found.kind === 'verdict' ? [] : [`etcd: ${found.reason}`] };
}

/** Whether a member takes part in a quorum, and until when the certificate is valid that it shows. */
async function askMember(node: string, endpoint: Endpoint, access: EtcdAccess) {
  const client = createEtcdClient(endpoint, { access });
  const { security, tls } = access;
  try {
    const [probe, certificate] = await Promise.all([
      probeMember(node, client, { deadlineMs: askMs }),
      security === 'open' || tls === undefined ? null : shownBy(endpoint, tls.client),
    ]);
    return { probe, certificate };
  } finally {
    client.close();
  }
}

async function shownBy(endpoint: Endpoint, client: string): Promise<Expiry | null> {
  return servedUntil(endpoint, askMs, client).then(
    (until) => expiryOf(until, new Date()),
    () => null,
  );
}

function unreadCertificates(spec: ClusterSpec, read: readonly HostSpec[]): readonly HostCertificate[] {
  const { certificates = [] } = emptyStatus(spec).etcd;
  return certificates.filter(({ host }) => !read.some(({ name }) => name === host));
}

/** Any host of a volume reports all its bricks. */
async function observeStorage(
  pool: SshPool,
  spec: ClusterSpec,
  hosts: readonly HostSpec[],
): Promise<ClusterStatus['storage']> {
  const unknown = emptyStatus(spec).storage;
  if (spec.storage.kind !== 'gluster') return unknown;
  const { storage } = spec;
  const servers = brickHosts(spec);
  const bricks = await observeBricks(
    pool,
    servers.filter((host) => hosts.includes(host)),
    storage.volume,
  );
  if (bricks.length === 0) return unknown;
  return {
    ...unknown,
    bricks: servers.map(({ name, address }) => {
      const found = bricks.find(({ brick }) => brick === `${address}:${brickPath(storage)}`);
      return { host: name, online: found?.online ?? null, pending: found?.pending ?? null };
    }),
  };
}

async function observeNodesAndProxies(
  pool: SshPool,
  reach: Reach,
  spec: ClusterSpec,
  hosts: readonly HostSpec[],
) {
  const { proxies: unknown, jupyter } = emptyStatus(spec);
  if (hosts.length === 0) return { jupyter, proxies: unknown, reasons: [] };
  const secrets = await within(
    askMs,
    readSecrets(pool, { name: spec.name, hosts }, keeperSecretNames),
    () => new PerijoveError('SSH_TIMEOUT', 'no answer in time'),
  ).catch((error: unknown) => {
    const isMissing = error instanceof PerijoveError && error.code === 'SECRETS_ABSENT';
    return isMissing ? 'they do not exist yet' : messageOf(error);
  });
  if (typeof secrets === 'string') {
    const reason = `nodes and proxies cannot be queried without their tokens: ${secrets}`;
    return { jupyter, proxies: unknown, reasons: [reason] };
  }
  const [nodes, proxies] = await Promise.all([
    Promise.all(
      nodeNames(spec).map(async (node, index) => {
        const status = await reach
          .any(nodeAddress(spec, index), spec.nodes.controlPort)
          .then((endpoint) => nodeClient(endpoint, secrets['node-api-token']).status({ timeoutMs: askMs }))
          .catch(() => undefined);
        return { node, jupyter: status?.jupyter, etcd: status?.etcd };
      }),
    ),
    Promise.all(
      unknown.map(async (proxy, index) => {
        const host = hostsWithRole(spec, 'proxy')[index];
        if (!host || !hosts.includes(host)) return proxy;
        const [health, certificate] = await Promise.all([
          reach
            .via(host.name, proxyApiAddress(host), host.ports.proxyApi)
            .then((endpoint) =>
              proxyClient(endpoint, secrets['proxy-api-token']).health({ timeoutMs: askMs }),
            )
            .catch(() => undefined),
          spec.proxy.tls && observeCertificate(reach, host),
        ]);
        const seen = { ...proxy, ...(certificate && { certificate }) };
        if (!health?.route) return seen;
        const { serving, generation } = health.route;
        return { ...seen, target: serving.target, generation, healthy: health.answering === true };
      }),
    ),
  ]);
  const open = nodes.flatMap(({ node, jupyter: seen }) => (seen?.gate.open ? [{ node, ...seen }] : []));
  // During a move there are two for a moment: users are on the higher term.
  const [serving] = open.sort((a, b) => b.gate.term - a.gate.term || b.generation - a.generation);
  const reasons = nodes.flatMap(({ node, etcd }) => troubleOf(node, etcd) ?? []);
  const lost = lostQuorum(nodes);
  return {
    jupyter: { ...jupyter, node: serving?.node ?? null, nodes: nodes.map(jupyterOf) },
    proxies,
    reasons,
    ...(lost !== undefined && { lost }),
  };
}

function jupyterOf({
  node,
  jupyter,
}: {
  readonly node: string;
  readonly jupyter?: JupyterStatus | undefined;
}) {
  if (jupyter === undefined) return { node, state: null, kernels: null };
  const { state, kernels = null } = jupyter;
  return { node, state, kernels: state === 'stopped' ? 0 : kernels };
}

/** What people get from the proxy now, whatever is in its file or in the spec. */
async function observeCertificate(
  reach: Reach,
  { name, address, ports }: HostSpec,
): Promise<Expiry | undefined> {
  try {
    return expiryOf(await servedUntil(await reach.via(name, address, ports.proxy), askMs), new Date());
  } catch {
    return undefined;
  }
}

/** Why a node's etcd member does not run, if the node knows. */
function troubleOf(node: string, etcd: NodeStatus['etcd'] | undefined): string | undefined {
  if (etcd === undefined || etcd.state === 'running') return undefined;
  if (etcd.trouble !== undefined && etcd.reason === undefined) return `etcd on ${node} ends: ${etcd.trouble}`;
  return etcd.reason === undefined ? undefined : `etcd on ${node} waits: ${etcd.reason}`;
}
