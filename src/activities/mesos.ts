import { Context } from '@temporalio/activity';
import { PerijoveError, messageOf } from '../errors/error.js';
import type { Change } from '../hosts/items.js';
import {
  leadingMaster,
  registeredMasters,
  withEnsemble,
  type MasterInfo,
} from '../mesos/masters/detector.js';
import { hostAttribute } from '../mesos/installation/items.js';
import { masterReach, type Credential, type MasterAddress } from '../mesos/masters/http.js';
import {
  masterLeader,
  recoveredState,
  type AgentInfo,
  type MasterAgents,
  type OperatorOptions,
} from '../mesos/masters/operator-client.js';
import { runningMasterPort } from '../mesos/masters/running-port.js';
import { runningCredential, runningDigests } from '../mesos/installation/running-secrets.js';
import { readMesosSecrets, type MesosSecrets } from '../mesos/installation/secrets.js';
import { alignZnodes, opening, protecting } from '../mesos/masters/znodes.js';
import { listensAt } from '../hosts/listening.js';
import { readSecrets } from '../hosts/secrets.js';
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import type { Endpoint, SshPool } from '../ssh/connection.js';
import { sshReach, type Reach } from '../ssh/reach.js';
import type { ActivityDeps } from './deps.js';
import type { ServiceMember } from '../deployment/members.js';
import { until } from './poll.js';

export interface MesosInput {
  readonly spec: ClusterSpec;
}

export interface AgentsInput extends MesosInput {
  readonly atAnyPort?: boolean;
}

export function createMesosActivities({ pool }: Pick<ActivityDeps, 'pool'>) {
  return {
    /**
     * Opens the znodes of Mesos to masters with the new or an earlier digest, before masters are changed one
     * by one, so that every master can join the election. A later protectZnodes revokes what this permits.
     *
     * @throws PerijoveError ZOOKEEPER_UNREACHABLE, ZOOKEEPER_AUTH_FAILED
     */
    openZnodes: ({ spec }: MesosInput): Promise<readonly Change[]> => openZnodes(pool, spec),

    /**
     * Restricts the znodes of Mesos to the cluster's digest; everyone may read them.
     *
     * @throws PerijoveError ZOOKEEPER_UNREACHABLE, ZOOKEEPER_AUTH_FAILED
     */
    protectZnodes: ({ spec }: MesosInput): Promise<readonly Change[]> => protectZnodes(pool, spec),

    /**
     * The masters that take part in the election now, wherever their current configuration has them listen. One
     * that is registered, but by its own host does not listen, is down.
     *
     * @throws PerijoveError ZOOKEEPER_UNREACHABLE: then none of them may be considered down
     */
    masterMembers: ({ spec }: MesosInput): Promise<readonly ServiceMember[]> => masterMembers(pool, spec),

    /**
     * Resolves when every master responds, all name the same leader, and the leader serves its state.
     *
     * A leader with an earlier credential, because it is the last to be restarted, is sent that one.
     *
     * @throws PerijoveError MASTERS_DISAGREE after two minutes, MESOS_CREDENTIAL_REFUSED,
     * MESOS_ADDRESS_REFUSED, ZOOKEEPER_AUTH_FAILED
     */
    awaitMasters: ({ spec }: MesosInput): Promise<{ readonly leader: string }> => awaitMasters(pool, spec),

    /**
     * The agents that are registered and active at the leading master, whatever their current ports. While
     * the master still waits for agents, the state of a missing agent is unknown.
     */
    agentMembers: ({ spec }: MesosInput): Promise<readonly ServiceMember[]> => agentMembers(pool, spec),

    /**
     * Resolves when the agent of every host is registered and active, at the host's address and port; with
     * `atAnyPort` also where an agent that is still to be changed listens.
     *
     * @throws PerijoveError AGENT_NOT_REGISTERED after two minutes
     */
    awaitAgents: (input: AgentsInput): Promise<void> => awaitAgents(pool, input),
  };
}

async function openZnodes(pool: SshPool, spec: ClusterSpec): Promise<readonly Change[]> {
  const digest = (await readSecrets(pool, spec, ['zookeeper-digest']))['zookeeper-digest'];
  const formerDigests = await runningDigests(pool, spec);
  const wanted = spec.zookeeper.digest
    ? opening({ kind: 'owners', digests: [...new Set([digest, ...formerDigests])] })
    : opening({ kind: 'everybody' });
  const path = spec.mesos.zkPath;
  const opened = await withEnsemble(sshReach(pool, spec), spec, { digest, formerDigests }, (zookeeper) =>
    alignZnodes(zookeeper, path, wanted),
  );
  const writers = spec.zookeeper.digest ? "the cluster's digest" : 'everyone';
  return changesOf(spec, opened, `granted ${writers} write access to the znodes`);
}

async function protectZnodes(pool: SshPool, spec: ClusterSpec): Promise<readonly Change[]> {
  const { digest } = await readMesosSecrets(pool, spec);
  if (digest === undefined) return [];
  const closed = await withEnsemble(sshReach(pool, spec), spec, { digest }, (zookeeper) =>
    alignZnodes(zookeeper, spec.mesos.zkPath, protecting(digest)),
  );
  return changesOf(spec, closed, 'protected the znodes');
}

async function masterMembers(pool: SshPool, spec: ClusterSpec): Promise<readonly ServiceMember[]> {
  const secrets = await readMesosSecrets(pool, spec);
  const registered = await registeredMasters(sshReach(pool, spec), spec, secrets);
  const [leader] = registered;
  return await Promise.all(
    hostsWithRole(spec, 'master').map(async (host): Promise<ServiceMember> => {
      const info = registered.find(({ address }) => address.ip === host.address);
      if (info === undefined || !(await mayRun(pool, host, info))) return { host: host.name, state: 'down' };
      return { host: host.name, state: info === leader ? 'leading' : 'up' };
    }),
  );
}

/**
 * Whether a registered master may run: the znode outlives its master until the session expires, and the end of the
 * whole ensemble as well. To wait for a master that has ended would be to wait forever.
 */
async function mayRun(pool: SshPool, host: HostSpec, { address }: MasterInfo): Promise<boolean> {
  const listens = await listensAt(() => pool.get(host), address.ip, address.port);
  return !listens.known || listens.value;
}

async function awaitMasters(pool: SshPool, spec: ClusterSpec): Promise<{ readonly leader: string }> {
  const { cancellationSignal: signal } = Context.current();
  const reach = sshReach(pool, spec);
  const secrets = await readMesosSecrets(pool, spec);
  const options = optionsOf(secrets, signal);
  return until(async () => {
    const views = await viewsOf(pool, reach, spec, secrets, options);
    const disagreement = disagreementOf(views);
    if (disagreement !== undefined) return { not: disagreement };
    try {
      const { leader } = await stateOfLeader(pool, reach, spec, secrets, signal, (host) =>
        runningCredential(pool, host),
      );
      return { done: { leader } };
    } catch (error) {
      return { not: notYet('MASTERS_DISAGREE', error) };
    }
  });
}

async function agentMembers(pool: SshPool, spec: ClusterSpec): Promise<readonly ServiceMember[]> {
  const reach = sshReach(pool, spec);
  const state = await stateOfLeader(pool, reach, spec, await readMesosSecrets(pool, spec));
  return hostsWithRole(spec, 'agent').map((host) => ({
    host: host.name,
    state: agentStateOf(state, host),
  }));
}

async function awaitAgents(pool: SshPool, { spec, atAnyPort = false }: AgentsInput): Promise<void> {
  const { cancellationSignal: signal } = Context.current();
  const reach = sshReach(pool, spec);
  const secrets = await readMesosSecrets(pool, spec);
  await until(async () => {
    try {
      const { agents } = await stateOfLeader(pool, reach, spec, secrets, signal);
      const missing = hostsWithRole(spec, 'agent').filter((host) => {
        const agent = agentOf(agents, host);
        return agent?.address !== host.address || (!atAnyPort && agent.port !== host.ports.agent);
      });
      const [first] = missing;
      if (first === undefined) return { done: undefined };
      const names = missing.map((host) => host.name).join(', ');
      return {
        not: new PerijoveError('AGENT_NOT_REGISTERED', `agents not registered: ${names}`, {
          host: first.name,
        }),
      };
    } catch (error) {
      return { not: notYet('AGENT_NOT_REGISTERED', error) };
    }
  });
}

function agentOf(agents: readonly AgentInfo[], host: HostSpec): AgentInfo | undefined {
  return agents.find((agent) => agent.active && agent.attributes[hostAttribute] === host.name);
}

/** The state of a host's agent according to a master that has read its registry. */
export function agentStateOf(
  { agents, recoveredAgents }: MasterAgents,
  host: HostSpec,
): ServiceMember['state'] {
  if (agentOf(agents, host) !== undefined) return 'up';
  const isThere = agents.some(({ attributes }) => attributes[hostAttribute] === host.name);
  return isThere || recoveredAgents === 0 ? 'down' : 'unknown';
}

/** The leader that one master names. */
export interface MasterView {
  readonly host: string;
  /** `address:port`; absent when it knows none, or does not respond. */
  readonly leader?: string;
}

/** Of all masters, wherever they listen: until it is changed, one has the port of an earlier spec. */
async function viewsOf(
  pool: SshPool,
  reach: Reach,
  spec: ClusterSpec,
  secrets: MesosSecrets,
  options: OperatorOptions,
): Promise<readonly MasterView[]> {
  const hosts = hostsWithRole(spec, 'master');
  const views = await Promise.all(hosts.map((host) => viewOf(reach, host, host.ports.master, options)));
  if (views.every(({ leader }) => leader !== undefined)) return views;
  const registered = await registeredMasters(reach, spec, secrets).catch((error: unknown) => {
    if (error instanceof PerijoveError && error.retryable) return [];
    throw error;
  });
  return Promise.all(
    hosts.map(async (host, index): Promise<MasterView> => {
      const view = views[index] ?? { host: host.name };
      const port = registered.find(({ address }) => address.ip === host.address)?.address.port;
      const isElsewhere = view.leader === undefined && port !== undefined && port !== host.ports.master;
      if (!isElsewhere || (await runningMasterPort(pool, spec, host)) !== port) return view;
      return viewOf(reach, host, port, options);
    }),
  );
}

async function viewOf(
  reach: Reach,
  host: HostSpec,
  port: number,
  options: OperatorOptions,
): Promise<MasterView> {
  try {
    const endpoint = await reach.via(host.name, host.address, port);
    const leader = await masterLeader(endpoint, { ...options, timeoutMs: 2_000 });
    return { host: host.name, ...(leader === undefined ? {} : { leader: `${leader.host}:${leader.port}` }) };
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof PerijoveError) return { host: host.name };
    throw error;
  }
}

/** Why the masters disagree; undefined when they agree. */
export function disagreementOf(views: readonly MasterView[]): PerijoveError | undefined {
  const undecided = views.filter((view) => view.leader === undefined).map((view) => view.host);
  const [host] = undecided;
  if (host !== undefined) {
    return new PerijoveError('MASTERS_DISAGREE', `no response or no known leader: ${undecided.join(', ')}`, {
      host,
    });
  }
  if (new Set(views.map((view) => view.leader)).size === 1) return undefined;
  const said = views.map((view) => `${view.host} names ${view.leader ?? ''}`);
  return new PerijoveError('MASTERS_DISAGREE', said.join(', '));
}

function optionsOf({ credential }: MesosSecrets, signal?: AbortSignal): OperatorOptions {
  return { ...(credential && { credential }), ...(signal && { signal }) };
}

/**
 * A master of the spec; or one that its host is still running at the port of an earlier spec.
 *
 * @throws PerijoveError MESOS_ADDRESS_REFUSED, SSH_*
 */
async function endpointOf(
  pool: SshPool,
  reach: Reach,
  spec: ClusterSpec,
  master: MasterAddress,
): Promise<Endpoint> {
  try {
    return await masterReach(spec, reach)(master);
  } catch (error) {
    const isRefused = error instanceof PerijoveError && error.code === 'MESOS_ADDRESS_REFUSED';
    const host = spec.hosts.find(({ address }) => address === master.host);
    if (!isRefused || host === undefined) throw error;
    if ((await runningMasterPort(pool, spec, host)) !== master.port) throw error;
    return await reach.via(host.name, host.address, master.port);
  }
}

/** The state of the leading master. @param running the credential of a master that is still to be restarted */
export async function stateOfLeader(
  pool: SshPool,
  reach: Reach,
  spec: ClusterSpec,
  secrets: MesosSecrets,
  signal?: AbortSignal,
  running?: (host: HostSpec) => Promise<Credential | undefined>,
) {
  const leader = await leadingMaster(reach, spec, secrets);
  if (leader === undefined) throw new PerijoveError('MASTERS_DISAGREE', 'no master is leading');
  const { ip, port } = leader.address;
  const endpoint = await endpointOf(pool, reach, spec, { host: ip, port });
  try {
    return await recoveredState(endpoint, optionsOf(secrets, signal));
  } catch (error) {
    const host = spec.hosts.find((each) => each.address === ip);
    if (!(error instanceof PerijoveError && error.code === 'MESOS_CREDENTIAL_REFUSED') || !host) throw error;
    const credential = await running?.(host);
    if (credential === undefined || credential.secret === secrets.credential?.secret) throw error;
    return await recoveredState(endpoint, optionsOf({ credential }, signal));
  }
}

/** The changes concern the ensemble; they are reported for its first host. */
function changesOf(spec: ClusterSpec, paths: readonly string[], what: string): readonly Change[] {
  const [host] = hostsWithRole(spec, 'zookeeper');
  return host === undefined || paths.length === 0
    ? []
    : [{ host: host.name, what: `${what} ${paths.join(', ')}` }];
}

/** Why an observation of masters or agents has no result yet. @throws the error if waiting does not heal it */
export function notYet(code: 'MASTERS_DISAGREE' | 'AGENT_NOT_REGISTERED', error: unknown): PerijoveError {
  if (!(error instanceof PerijoveError) || !error.retryable) throw error;
  return new PerijoveError(code, messageOf(error), { ...error.place, cause: error });
}
