/** Observes Mesos in ZooKeeper and through its masters. */
import { PerijoveError } from '../errors/error.js';
import { readMasters, withEnsemble, type RegisteredMaster } from '../mesos/masters/detector.js';
import { hostOfAgent } from '../mesos/scheduler/launch.js';
import { masterAt, masterReach, requireMaster } from '../mesos/masters/http.js';
import { masterEndpoint } from '../mesos/masters/named-leaders.js';
import {
  masterLeader,
  masterMetrics,
  masterState,
  masterVersion,
  type MasterState,
  type OperatorOptions,
} from '../mesos/masters/operator-client.js';
import { readMesosSecrets, type MesosSecrets } from '../mesos/installation/secrets.js';
import { accessTrouble } from '../mesos/masters/znodes.js';
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import type { Reach } from '../ssh/reach.js';
import { answerOf, askMs } from './answer-of.js';
import {
  noAgent,
  noFrameworkObservation,
  noMaster,
  type AgentObservation,
  type ClusterStatus,
  type MesosProblem,
} from './cluster-status.js';

export interface MesosStatus {
  readonly mesos: ClusterStatus['mesos'];
  /** The framework with this ID, according to the leading master. */
  readonly framework: (id: string | undefined) => typeof noFrameworkObservation;
}

/** Never rejects for the state of the cluster. `hosts` are the reachable ones. */
export async function observeMesosStatus(
  pool: SshPool,
  reach: Reach,
  spec: ClusterSpec,
  hosts: readonly HostSpec[],
): Promise<MesosStatus> {
  const secrets = await secretsOf(pool, spec, hosts);
  const options = { timeoutMs: askMs, ...(secrets.credential && { credential: secrets.credential }) };
  const [views, election] = await Promise.all([
    Promise.all(hostsWithRole(spec, 'master').map((host) => viewOf(pool, reach, hosts, host, options))),
    hosts.length === 0 ? noElection : observeElection(reach, spec, secrets),
  ]);
  const leader = views.map(({ leader }) => leader).find((named) => named !== undefined);
  const leaderHost = leader && masterAt(spec, leader);
  const leading = views.find(({ host, version }) => version !== undefined && host.name === leaderHost?.name);
  const answer =
    leader && leading
      ? await masterReach(
          spec,
          reach,
        )(leader)
          .then((endpoint) => masterState(endpoint, options))
          .catch((error: unknown) => problemOf(error))
      : undefined;
  const state = answer !== undefined && 'agents' in answer ? answer : undefined;
  const refused = answer !== undefined && 'code' in answer ? answer : undefined;
  return {
    mesos: {
      leader: leading?.host.name ?? null,
      masters: views.map(({ host, version, metrics, silence }) => {
        if (version === undefined) return { ...noMaster, state: silence, host: host.name };
        const registered = election.masters.find(
          ({ address }) => address.ip === host.address && address.port === host.ports.master,
        );
        return {
          host: host.name,
          state: host === leading?.host ? 'leading' : 'standing-by',
          version: version.version,
          sequence: registered?.sequence ?? null,
          leadsSince: host === leading?.host ? isoOf(state?.electedAt) : null,
          startedAt: metrics?.uptimeSeconds === undefined ? null : agoOf(metrics.uptimeSeconds),
          logRecovered: metrics?.logRecovered ?? null,
          logEnsembleSize: metrics?.logEnsembleSize ?? null,
        };
      }),
      agents: hostsWithRole(spec, 'agent').map((host) => agentObservation(spec, state, host)),
      standIn:
        views.find(({ version }) => version !== undefined)?.version?.standIn ??
        spec.mesos.install.kind === 'lab',
      open: spec.mesos.principal === undefined,
      problem: refused ?? election.problem ?? null,
    },
    framework: (id) => {
      const found = state?.frameworks.find((framework) => framework.id === id);
      if (found === undefined) return noFrameworkObservation;
      return {
        connected: found.connected,
        registeredAt: isoOf(found.registeredAt),
        reregisteredAt: isoOf(found.reregisteredAt),
      };
    },
  };
}

/** Leaves out secrets that no host has: requests without them report what is missing. */
async function secretsOf(
  pool: SshPool,
  spec: ClusterSpec,
  hosts: readonly HostSpec[],
): Promise<MesosSecrets> {
  if (hosts.length === 0) return {};
  return await readMesosSecrets(pool, { ...spec, hosts }).catch(() => ({}));
}

/** One master's own state; it has no version if it does not answer. */
async function viewOf(
  pool: SshPool,
  reach: Reach,
  hosts: readonly HostSpec[],
  host: HostSpec,
  options: OperatorOptions,
) {
  const place = { host, address: host.address, port: host.ports.master };
  const answer = await answerOf({ pool, hosts }, place, async () => {
    const endpoint = await masterEndpoint(reach, host);
    const [leader, version, metrics] = await Promise.all([
      masterLeader(endpoint, options),
      masterVersion(endpoint, options),
      // Metrics need the credential; the other requests do not.
      masterMetrics(endpoint, options).catch(() => undefined),
    ]);
    return { leader, version, metrics };
  });
  const view = 'value' in answer ? answer.value : undefined;
  const silence = 'silence' in answer ? answer.silence : 'no-answer';
  return { host, leader: view?.leader, version: view?.version, metrics: view?.metrics, silence };
}

function agentObservation(
  spec: ClusterSpec,
  state: MasterState | undefined,
  host: HostSpec,
): AgentObservation {
  if (state === undefined) return { ...noAgent, host: host.name };
  const agent = state.agents.find(
    (each) =>
      hostOfAgent(spec, {
        hostname: each.hostname,
        address: { ip: each.address, port: each.port },
        attributes: each.attributes,
      })?.name === host.name,
  );
  if (agent === undefined) return { ...noAgent, host: host.name, state: 'absent' };
  return {
    host: host.name,
    state: agent.active ? 'registered' : 'disconnected',
    id: agent.id,
    registeredAt: isoOf(agent.registeredAt),
  };
}

interface Election {
  readonly masters: readonly RegisteredMaster[];
  readonly problem?: MesosProblem;
}

const noElection: Election = { masters: [] };

async function observeElection(reach: Reach, spec: ClusterSpec, secrets: MesosSecrets): Promise<Election> {
  const path = spec.mesos.zkPath;
  try {
    return await withEnsemble(reach, spec, secrets, async (zookeeper) => {
      const { digest } = secrets;
      const trouble = digest === undefined ? undefined : await accessTrouble(zookeeper, path, digest);
      const masters = await readMasters(zookeeper, path);
      const problem = problemOf(trouble) ?? foreignLeader(spec, masters);
      return { masters, ...(problem && { problem }) };
    });
  } catch (error) {
    // Without an ensemble its znodes are unknown; that it is down is reported elsewhere.
    const problem = problemOf(error);
    return { masters: [], ...(problem && { problem }) };
  }
}

/** The problem of an election that a master outside the spec leads. */
function foreignLeader(spec: ClusterSpec, [leader]: readonly RegisteredMaster[]): MesosProblem | undefined {
  if (leader === undefined) return undefined;
  try {
    requireMaster(spec, { host: leader.address.ip, port: leader.address.port });
    return undefined;
  } catch (error) {
    return problemOf(error);
  }
}

/** Only permanent problems; anything else counts as no answer. */
function problemOf(error: unknown): MesosProblem | undefined {
  if (!(error instanceof PerijoveError) || error.retryable) return undefined;
  const { code, message, remedy } = error;
  return { code, message, remedy };
}

function isoOf(seconds: number | undefined): string | null {
  return seconds === undefined ? null : new Date(seconds * 1_000).toISOString();
}

/** Whole seconds: recomputed times must not vary between observations. */
function agoOf(seconds: number): string {
  return new Date(Math.round(Date.now() / 1_000 - seconds) * 1_000).toISOString();
}
