/** Observes the numbers of ZooKeeper's servers on their hosts. */
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { messageOf } from '../errors/error.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import type { HostConnection } from '../ssh/connection.js';
import { zookeeperPaths } from '../zookeeper/items.js';
import {
  hasConfiguration,
  parseServerFiles,
  serverFilesScript,
  withServerNumbers,
  withStandalone,
  type EnsembleFiles,
  type ServerFiles,
} from '../zookeeper/servers.js';

export type Connect = (host: HostSpec) => Promise<HostConnection>;

/** What the hosts keep of the ensemble. Never rejects. */
export async function observeEnsemble(connect: Connect, spec: ClusterSpec): Promise<EnsembleFiles> {
  const hosts = hostsWithRole(spec, 'zookeeper');
  const files = await observeServers(connect, hosts);
  if (hosts.length === 0 || hasConfiguration(files)) return files;
  const others = spec.hosts.filter((host) => !hosts.includes(host));
  return { ...(await observeServers(connect, others)), ...files };
}

async function observeServers(connect: Connect, hosts: readonly HostSpec[]): Promise<EnsembleFiles> {
  const found = await Promise.all(
    hosts.map(async (host) => [host.name, await observeServer(connect, host)] as const),
  );
  return Object.fromEntries(found);
}

async function observeServer(connect: Connect, host: HostSpec): Promise<Observation<ServerFiles>> {
  try {
    const connection = await connect(host);
    const found = parseServerFiles(await connection.run(serverFilesScript(zookeeperPaths(host))));
    return found === undefined
      ? notKnown('its files of ZooKeeper could not be read')
      : known(withStandalone(host, found));
  } catch (error) {
    return notKnown(messageOf(error));
  }
}

/**
 * The spec with the numbers that the servers have on their hosts.
 *
 * @throws PerijoveError SSH_*, OBSERVATION_INCOMPLETE, ZOOKEEPER_NUMBER_TAKEN
 */
export async function withObservedServers(connect: Connect, spec: ClusterSpec): Promise<ClusterSpec> {
  if (spec.zookeeper.servers !== undefined) return spec;
  const files = await observeEnsemble(connect, spec);
  try {
    return withServerNumbers(spec, files);
  } catch (error) {
    await reachUnknown(connect, spec, files);
    throw error;
  }
}

/** Fails as the connection to a host does that could not be observed: that may heal soon. @throws PerijoveError SSH_* */
export async function reachUnknown(connect: Connect, spec: ClusterSpec, files: EnsembleFiles): Promise<void> {
  for (const host of spec.hosts) if (files[host.name]?.known === false) await connect(host);
}

/** For a comparison: a host that cannot be observed is reported by its own survey. @throws PerijoveError ZOOKEEPER_NUMBER_TAKEN */
export async function withKnownServers(connect: Connect, spec: ClusterSpec): Promise<ClusterSpec> {
  return withServerNumbers(spec, await observeEnsemble(connect, spec), 'is new');
}
