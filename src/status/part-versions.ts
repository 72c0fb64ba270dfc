/** Reads the versions of everything that a cluster runs on, all at once; what does not answer is not known. */
import type { Client } from '@temporalio/client';
import { hostsWithRole, nodeAddress, nodeNames, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { readEtcdAccess } from '../etcd/access.js';
import { createEtcdClient } from '../etcd/client.js';
import { hostPaths } from '../hosts/paths.js';
import { masterEndpoint } from '../mesos/masters/named-leaders.js';
import { masterVersion } from '../mesos/masters/operator-client.js';
import { within } from '../net/deadline.js';
import type { SshPool } from '../ssh/connection.js';
import { sshReach } from '../ssh/reach.js';
import { quote } from '../ssh/shell.js';
import { serverVersions } from '../temporal/versions.js';
import { isPolling, pollersOf } from '../temporal/workers.js';
import { serverStatus } from '../zookeeper/four-letter.js';
import { askMs } from './answer-of.js';
import { supportOf, type Part, type Support } from './support.js';

/** One program at one place; the version is null if it could not be read. */
export interface PartVersion extends Support {
  readonly part: Part;
  /** Host, node or worker. */
  readonly at: string;
  readonly version: string | null;
}

const patienceMs = 10_000;

/** Resolves within about ten seconds, whatever is down. */
export async function readPartVersions(
  { pool, client }: { readonly pool: SshPool; readonly client?: Client },
  spec: ClusterSpec,
): Promise<readonly PartVersion[]> {
  const groups = await Promise.all([
    temporalVersions(client),
    zookeeperVersions(pool, spec),
    mesosVersions(pool, spec),
    etcdVersions(pool, spec),
    ...spec.hosts.map((host) => hostVersions(pool, spec, host)),
  ]);
  return groups.flat();
}

function row(part: Part, at: string, version: string | null): PartVersion {
  return { part, at, version, ...supportOf(part, version) };
}

/** Null for a question that fails or takes too long. */
async function orUnknown<T>(question: () => Promise<T>, ms = patienceMs): Promise<T | null> {
  return await within(ms, question(), () => new Error('no answer')).catch(() => null);
}

async function temporalVersions(client: Client | undefined): Promise<readonly PartVersion[]> {
  if (client === undefined) return [row('temporal', 'server', null)];
  const [server, pollers] = await Promise.all([
    orUnknown(() => serverVersions(client)),
    orUnknown(() => pollersOf(client)),
  ]);
  const version = server === null || server.server === 'unknown' ? null : server.server;
  const workers = pollers?.filter((poller) => isPolling(poller)) ?? [];
  return [
    row('temporal', 'server', version),
    ...workers.map(({ identity, build }) => row('worker', identity, build)),
  ];
}

async function zookeeperVersions(pool: SshPool, spec: ClusterSpec): Promise<readonly PartVersion[]> {
  return await Promise.all(
    hostsWithRole(spec, 'zookeeper').map(async (host) => {
      const status = await orUnknown(async () => {
        const reach = sshReach(pool, { hosts: [host] });
        return serverStatus(await reach.via(host.name, host.address, host.ports.zookeeper), askMs);
      });
      const version = status?.version?.split(/[-,]/)[0] ?? null;
      return row('zookeeper', host.name, version);
    }),
  );
}

async function mesosVersions(pool: SshPool, spec: ClusterSpec): Promise<readonly PartVersion[]> {
  return await Promise.all(
    hostsWithRole(spec, 'master').map(async (host) => {
      const found = await orUnknown(async () =>
        masterVersion(await masterEndpoint(sshReach(pool, { hosts: [host] }), host)),
      );
      if (found?.standIn === true) {
        return {
          part: 'mesos',
          at: host.name,
          version: found.version,
          supported: null,
          note: 'the stand-in',
        };
      }
      return row('mesos', host.name, found?.version ?? null);
    }),
  );
}

async function etcdVersions(pool: SshPool, spec: ClusterSpec): Promise<readonly PartVersion[]> {
  const access = await orUnknown(() => readEtcdAccess(pool, spec));
  const reach = sshReach(pool, spec);
  return await Promise.all(
    nodeNames(spec).map(async (node, index) => {
      if (access === null) return row('etcd', node, null);
      const status = await orUnknown(async () => {
        const endpoint = await reach.any(nodeAddress(spec, index), spec.etcd.clientPort);
        const client = createEtcdClient(endpoint, { access });
        try {
          return await client.status({ deadlineMs: askMs });
        } finally {
          client.close();
        }
      });
      return row('etcd', node, status?.version ?? null);
    }),
  );
}

async function hostVersions(
  pool: SshPool,
  { jupyter, nodes }: ClusterSpec,
  host: HostSpec,
): Promise<readonly PartVersion[]> {
  const isAgent = host.roles.includes('agent');
  const hasProcesses = isAgent && nodes.containerizer === 'mesos';
  const asked: readonly (readonly [Part, string])[] = [
    ['node.js', `${quote(hostPaths(host).node)} --version`],
    ...(hasProcesses ? [['jupyterlab', jupyterLabVersion(jupyter.executable)] as const] : []),
    ...(isAgent && !hasProcesses
      ? [['docker', `docker version --format '{{.Server.Version}}'`] as const]
      : []),
  ];
  const script = asked.map(
    ([part, command]) => `printf '%s %s\\n' ${part} "$(timeout 8 ${command} 2>/dev/null | head -n 1)"`,
  );
  const output = await orUnknown(async () => (await pool.get(host)).run(script.join('\n')));
  return asked.map(([part]) => {
    const [, version] =
      output
        ?.split('\n')
        .find((text) => text.startsWith(`${part} `))
        ?.split(' ') ?? [];
    return row(part, host.name, version === undefined || version === '' ? null : version.replace(/^v/, ''));
  });
}

/** By the metadata of its package: the program itself takes seconds to start. */
function jupyterLabVersion(executable: string): string {
  const print = `import importlib.metadata as m; print(m.version("jupyterlab"))`;
  return `sh -c ${quote(`file=$(command -v ${quote(executable)}) && read -r line < "$file" && \${line#'#!'} -c '${print}'`)}`;
}
