import { messageOf, PerijoveError } from '../errors/error.js';
import { listensAt } from '../hosts/listening.js';
import { hostServices } from '../hosts/services.js';
import { known, notKnown, observedOn, type Observation } from '../hosts/observation.js';
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import { sshReach, type Reach } from '../ssh/reach.js';
import { quote } from '../ssh/shell.js';
import { observeEnsemble, reachUnknown } from '../deployment/ensemble.js';
import type { ServiceMember } from '../deployment/members.js';
import { judgeEnsemble, type MemberReport } from '../zookeeper/ensemble.js';
import { serverStatus, type ServerStatus } from '../zookeeper/four-letter.js';
import { brokenDataSign } from '../zookeeper/broken-data.js';
import { zookeeperPaths, zookeeperService } from '../zookeeper/items.js';
import { ensembleSteps, numbersWithLeavers, serversOf, type EnsembleStep } from '../zookeeper/servers.js';
import type { ActivityDeps } from './deps.js';
import { until } from './poll.js';

export interface ZooKeeperInput {
  readonly spec: ClusterSpec;
}

/** How often a server that does not respond is asked for its log, and how much of it. */
const explainEveryMs = 10_000;
const explainLines = 500;

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
     * @throws PerijoveError ZOOKEEPER_NOT_WHOLE after two minutes, ZOOKEEPER_DATA_DAMAGED for a server that cannot
     * start with its data
     */
    awaitZookeeper: (input: EnsembleInput): Promise<{ readonly leader: string }> =>
      awaitZookeeper(pool, input),
  };
}

async function awaitZookeeper(
  pool: SshPool,
  { spec, atAnyPort = false }: EnsembleInput,
): Promise<{ readonly leader: string }> {
  const reach = sshReach(pool, spec);
  const members = hostsWithRole(spec, 'zookeeper');
  let explainAt = performance.now() + explainEveryMs;
  return until(async () => {
    const reports = await Promise.all(
      members.map((host) =>
        atAnyPort ? currentReport(pool, reach, host) : reportOf(reach, host, host.ports.zookeeper),
      ),
    );
    const { healthy, leader, reason } = judgeEnsemble(reports);
    if (healthy && leader !== undefined) return { done: { leader } };
    if (performance.now() >= explainAt) {
      const silent = members.filter(({ name }) =>
        reports.some(({ host, status }) => host === name && status === undefined),
      );
      for (const host of silent) await requireReadableData(pool, spec, host);
      explainAt = performance.now() + explainEveryMs;
    }
    return { not: new PerijoveError('ZOOKEEPER_NOT_WHOLE', reason) };
  });
}

/** A host that cannot be asked explains nothing. @throws PerijoveError ZOOKEEPER_DATA_DAMAGED */
async function requireReadableData(
  pool: SshPool,
  { name: cluster }: ClusterSpec,
  host: HostSpec,
): Promise<void> {
  let sign: string | undefined;
  try {
    const connection = await pool.get(host);
    const log = await (await hostServices(connection, cluster)).logs(zookeeperService, explainLines);
    const clock = Number(await connection.run('date +%s'));
    sign = brokenDataSign(log, clock * 1_000);
  } catch (error) {
    if (!(error instanceof PerijoveError)) throw error;
  }
  if (sign === undefined) return;
  const message = `the ZooKeeper server of ${host.name} cannot start with its data: ${sign}`;
  throw new PerijoveError('ZOOKEEPER_DATA_DAMAGED', message, { host: host.name });
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
  return {
    numbers,
    steps: ensembleSteps(files, serversOf(spec, numbers), new Set(Object.values(numbers))),
  };
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
