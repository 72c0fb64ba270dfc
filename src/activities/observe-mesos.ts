/** What can be seen of Mesos: in ZooKeeper, and from its masters. */
import { PerijoveError } from '../errors/error.js';
import { withEnsemble } from '../mesos/detector.js';
import { hostOfAgent } from '../mesos/launch.js';
import { masterReach } from '../mesos/master-http.js';
import {
  masterLeader,
  masterState,
  masterVersion,
  type MasterState,
  type OperatorOptions,
} from '../mesos/operator-client.js';
import { readMesosSecrets, type MesosSecrets } from '../mesos/secrets.js';
import { accessTrouble } from '../mesos/znodes.js';
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../spec/cluster.js';
import type { SshPool } from '../ssh/connection.js';
import type { Reach } from '../ssh/reach.js';
import { answerOf, askMs } from './answer-of.js';
import type { ClusterStatus, MasterStatus, MesosProblem } from './cluster-status.js';

/** Never rejects for the state of the cluster. `hosts` are those that answer. */
export async function lookAtMesos(
  pool: SshPool,
  reach: Reach,
  spec: ClusterSpec,
  hosts: readonly HostSpec[],
): Promise<ClusterStatus['mesos']> {
  const secrets = await secretsOf(pool, spec, hosts);
  const options = { timeoutMs: askMs, ...(secrets.credential && { credential: secrets.credential }) };
  const [masters, znodes] = await Promise.all([
    lookAtMasters(reach, spec, hosts, options),
    secrets.digest === undefined || hosts.length === 0
      ? undefined
      : lookAtZnodes(reach, spec, secrets.digest),
  ]);
  const leader = masters.map(({ view }) => view?.leader).find((named) => named !== undefined);
  const leading = masters.find(
    ({ host, view }) =>
      view !== undefined &&
      leader?.port === host.ports.master &&
      (leader.host === host.address || leader.host === host.hostname),
  );
  const state =
    leader && leading
      ? await masterReach(
          spec,
          reach,
        )(leader)
          .then((endpoint) => masterState(endpoint, options))
          .catch((error: unknown) => problemOf(error))
      : undefined;
  const seen = state !== undefined && 'agents' in state ? state : undefined;
  const refused = state !== undefined && 'code' in state ? state : undefined;
  return {
    leader: leading?.host.name ?? null,
    masters: masters.map(({ host, view }) => {
      const status: MasterStatus =
        view === undefined ? 'down' : host === leading?.host ? 'leading' : 'standing-by';
      return { host: host.name, state: status };
    }),
    agents: hostsWithRole(spec, 'agent').map((host) => {
      if (seen === undefined) return { host: host.name, state: 'unknown' };
      const agent = agentOf(spec, seen, host);
      return {
        host: host.name,
        state: agent === undefined ? 'absent' : agent.active ? 'registered' : 'disconnected',
      };
    }),
    standIn:
      masters.find(({ view }) => view !== undefined)?.view?.version.standIn ??
      spec.mesos.install.kind === 'lab',
    problem: refused ?? znodes ?? null,
  };
}

/** Without those that no host has: whoever asks without them hears what is missing. */
async function secretsOf(
  pool: SshPool,
  spec: ClusterSpec,
  hosts: readonly HostSpec[],
): Promise<MesosSecrets> {
  if (hosts.length === 0) return {};
  return await readMesosSecrets(pool, { ...spec, hosts }).catch(() => ({}));
}

async function lookAtMasters(
  reach: Reach,
  spec: ClusterSpec,
  hosts: readonly HostSpec[],
  options: OperatorOptions,
) {
  return await Promise.all(
    hostsWithRole(spec, 'master').map(async (host) => {
      const view = await answerOf(hosts, host, async () => {
        const endpoint = await reach.via(host.name, host.address, host.ports.master);
        const [leader, version] = await Promise.all([
          masterLeader(endpoint, options),
          masterVersion(endpoint, options),
        ]);
        return { leader, version };
      });
      return { host, view };
    }),
  );
}

function agentOf(spec: ClusterSpec, state: MasterState, host: HostSpec) {
  return state.agents.find(
    (agent) =>
      hostOfAgent(spec, {
        hostname: agent.hostname,
        address: { ip: agent.address, port: agent.port },
        attributes: agent.attributes,
      })?.name === host.name,
  );
}

async function lookAtZnodes(
  reach: Reach,
  spec: ClusterSpec,
  digest: string,
): Promise<MesosProblem | undefined> {
  try {
    const trouble = await withEnsemble(reach, spec, { digest }, (zookeeper) =>
      accessTrouble(zookeeper, spec.mesos.zkPath, digest),
    );
    return problemOf(trouble);
  } catch {
    // Without an ensemble nothing is known of its znodes; that it is down is told elsewhere.
    return undefined;
  }
}

/** What no time heals; anything else is seen as what does not answer. */
function problemOf(error: unknown): MesosProblem | undefined {
  if (!(error instanceof PerijoveError) || error.retryable) return undefined;
  const { code, message, remedy } = error;
  return { code, message, remedy };
}
