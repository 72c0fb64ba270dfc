import { PerijoveError } from '../errors/error.js';
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../spec/cluster.js';
import { sshReach, type Reach } from '../ssh/reach.js';
import { quote } from '../ssh/shell.js';
import type { ServiceMember } from './members.js';
import { judgeEnsemble, type MemberReport } from '../zookeeper/ensemble.js';
import { serverStatus, type ServerStatus } from '../zookeeper/four-letter.js';
import { zookeeperPaths } from '../zookeeper/items.js';
import type { ActivityDeps } from './deps.js';
import { until } from './poll.js';

export interface ZooKeeperInput {
  readonly spec: ClusterSpec;
}

export function createZooKeeperActivities({ pool }: Pick<ActivityDeps, 'pool'>) {
  /** The port that the host's server was last told to serve, which need not be the spec's. */
  const configuredPort = async (host: HostSpec): Promise<number> => {
    const connection = await pool.get(host);
    const output = await connection.run(
      `sed -n 's/^clientPort=//p' ${quote(zookeeperPaths(host).config)} 2>/dev/null || true`,
    );
    return Number(output.trim());
  };

  const membersOf = async (spec: ClusterSpec): Promise<readonly ServiceMember[]> => {
    const reach = sshReach(pool, spec);
    return Promise.all(
      hostsWithRole(spec, 'zookeeper').map(async (host) => {
        const { status } = await reportOf(reach, host, host.ports.zookeeper);
        if (status !== undefined) return { host: host.name, state: stateOf(status) };
        const port = await configuredPort(host);
        if (!Number.isInteger(port) || port === 0 || port === host.ports.zookeeper) {
          return { host: host.name, state: 'down' };
        }
        return { host: host.name, state: stateOf((await reportOf(reach, host, port)).status) };
      }),
    );
  };

  return {
    /** How each member serves now, wherever its present configuration has it listen. */
    zookeeperMembers: ({ spec }: ZooKeeperInput): Promise<readonly ServiceMember[]> => membersOf(spec),

    /**
     * Resolves when one member leads and all others follow.
     *
     * @throws PerijoveError ZOOKEEPER_NOT_WHOLE after two minutes
     */
    awaitZookeeper: async ({ spec }: ZooKeeperInput): Promise<{ readonly leader: string }> => {
      const reach = sshReach(pool, spec);
      const members = hostsWithRole(spec, 'zookeeper');
      return until(async () => {
        const { healthy, leader, reason } = judgeEnsemble(
          await Promise.all(members.map((host) => reportOf(reach, host, host.ports.zookeeper))),
        );
        return healthy && leader !== undefined
          ? { done: { leader } }
          : { not: new PerijoveError('ZOOKEEPER_NOT_WHOLE', reason) };
      });
    },
  };
}

async function reportOf(reach: Reach, host: HostSpec, port: number): Promise<MemberReport> {
  try {
    return { host: host.name, status: await serverStatus(await reach.via(host.name, host.address, port)) };
  } catch {
    return { host: host.name };
  }
}

function stateOf(status: ServerStatus | undefined): ServiceMember['state'] {
  switch (status?.mode) {
    case 'leader':
    case 'standalone':
      return 'leading';
    case 'follower':
    case 'observer':
      return 'up';
    case 'not-serving':
    case undefined:
      return 'down';
  }
}
