import { messageOf, PerijoveError } from '../errors/error.js';
import { listensAt } from '../hosts/listening.js';
import { known, notKnown, observedOn, type Observation } from '../hosts/observation.js';
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import { sshReach, type Reach } from '../ssh/reach.js';
import { quote } from '../ssh/shell.js';
import { observeEnsemble, reachUnknown } from '../deployment/ensemble.js';
import type { ServiceMember } from '../deployment/members.js';
import { judgeEnsemble, type MemberReport } from '../zookeeper/ensemble.js';
import { serverStatus, type ServerStatus } from '../zookeeper/four-letter.js';
import { zookeeperPaths } from '../zookeeper/items.js';
import { ensembleSteps, numbersWithLeavers, serverOf, type EnsembleStep } from '../zookeeper/servers.js';
import type { ActivityDeps } from './deps.js';
import { until } from './poll.js';

export interface ZooKeeperInput {
  readonly spec: ClusterSpec;
}

export interface EnsembleInput extends ZooKeeperInput {
  readonly atAnyPort?: boolean;
}

export interface EnsemblePlan {
  readonly steps: readonly EnsembleStep[];
  /** Of the servers, by host, those that leave included. */
  readonly numbers: Readonly<Record<string, number>>;
}

export function createZooKeeperActivities({ pool }: Pick<ActivityDeps, 'pool'>) {
  return {
    /** The current state of each member, wherever its current configuration has it listen. */
    zookeeperMembers: ({ spec }: ZooKeeperInput): Promise<readonly ServiceMember[]> => membersOf(pool, spec),

    /**
     * How the ensemble comes to the members of the spec; no steps when they have not changed.
     *
     * @throws PerijoveError OBSERVATION_INCOMPLETE, ZOOKEEPER_NUMBER_TAKEN
     */
    planEnsemble: ({ spec }: ZooKeeperInput): Promise<EnsemblePlan> => planEnsemble(pool, spec),

    /**
     * Resolves when one member leads and all others follow, at the ports of the spec; with `atAnyPort` also where a
     * member that is still to be changed listens.
     *
     * @throws PerijoveError ZOOKEEPER_NOT_WHOLE after two minutes
     */
    awaitZookeeper: async ({
      spec,
      atAnyPort = false,
    }: EnsembleInput): Promise<{ readonly leader: string }> => {
      const reach = sshReach(pool, spec);
      const members = hostsWithRole(spec, 'zookeeper');
      return until(async () => {
        const { healthy, leader, reason } = judgeEnsemble(
          await Promise.all(
            members.map((host) =>
              atAnyPort ? currentReport(pool, reach, host) : reportOf(reach, host, host.ports.zookeeper),
            ),
          ),
        );
        return healthy && leader !== undefined
          ? { done: { leader } }
          : { not: new PerijoveError('ZOOKEEPER_NOT_WHOLE', reason) };
      });
    },
  };
}

/** The port of the host's current server configuration, which may not be the spec's; undefined for none. */
async function configuredPort(pool: SshPool, host: HostSpec): Promise<Observation<number | undefined>> {
  const config = quote(zookeeperPaths(host).config);
  try {
    const connection = await pool.get(host);
    const output = await connection.run(`[ -e ${config} ] || { echo none; exit 0; }
sed -n 's/^clientPort=//p' ${config}`);
    if (output.trim() === 'none') return known(undefined);
    const port = Number(output.trim());
    return Number.isInteger(port) && port > 0 ? known(port) : notKnown(`${config} does not set clientPort`);
  } catch (error) {
    return notKnown(messageOf(error));
  }
}

/** A member that this worker cannot reach is down only when nothing listens on its own host. */
async function stateOfSilent(pool: SshPool, reach: Reach, host: HostSpec): Promise<ServiceMember['state']> {
  const configured = await configuredPort(pool, host);
  if (!configured.known) return 'unknown';
  const ports = new Set([host.ports.zookeeper, configured.value ?? host.ports.zookeeper]);
  for (const port of ports) {
    const { status } = await reportOf(reach, host, port);
    if (status !== undefined) return stateOf(status);
    const listens = await listensAt(() => pool.get(host), host.address, port);
    if (!listens.known || listens.value) return 'unknown';
  }
  return 'down';
}

/** At the port of its current configuration, which the running server may still have instead of the spec's. */
async function currentReport(pool: SshPool, reach: Reach, host: HostSpec): Promise<MemberReport> {
  const report = await reportOf(reach, host, host.ports.zookeeper);
  if (report.status !== undefined) return report;
  const configured = await configuredPort(pool, host);
  const port = configured.known ? configured.value : undefined;
  return port === undefined || port === host.ports.zookeeper ? report : reportOf(reach, host, port);
}

async function membersOf(pool: SshPool, spec: ClusterSpec): Promise<readonly ServiceMember[]> {
  const reach = sshReach(pool, spec);
  return Promise.all(
    hostsWithRole(spec, 'zookeeper').map(async (host) => {
      const { status } = await reportOf(reach, host, host.ports.zookeeper);
      const state = status === undefined ? await stateOfSilent(pool, reach, host) : stateOf(status);
      return { host: host.name, state };
    }),
  );
}

async function planEnsemble(pool: SshPool, spec: ClusterSpec): Promise<EnsemblePlan> {
  const connect = (host: HostSpec) => pool.get(host);
  const files = await observeEnsemble(connect, spec);
  await reachUnknown(connect, spec, files);
  for (const [host, found] of Object.entries(files)) observedOn(host, found);
  const numbers = numbersWithLeavers(spec, files);
  const servers = hostsWithRole(spec, 'zookeeper').map((host) => serverOf(host, numbers[host.name] ?? 0));
  return { numbers, steps: ensembleSteps(files, servers, new Set(Object.values(numbers))) };
}

async function reportOf(reach: Reach, host: HostSpec, port: number): Promise<MemberReport> {
  try {
    return { host: host.name, status: await serverStatus(await reach.via(host.name, host.address, port)) };
  } catch {
    return { host: host.name };
  }
}

function stateOf({ mode }: ServerStatus): ServiceMember['state'] {
  switch (mode) {
    case 'leader':
    case 'standalone':
      return 'leading';
    case 'follower':
    case 'observer':
      return 'up';
    case 'not-serving':
      return 'down';
  }
}
