import { hostPaths } from '../../hosts/paths.js';
import type { HostSpec, Install } from '../../cluster/spec.js';

/** Paths of Mesos' files on a host. */
export function mesosPaths(host: Pick<HostSpec, 'dir'>) {
  const paths = hostPaths(host);
  return {
    masterWork: `${paths.data}/mesos-master`,
    agentWork: `${paths.data}/mesos-agent`,
    masterLog: `${paths.log}/glog/mesos-master`,
    agentLog: `${paths.log}/glog/mesos-agent`,
    agentRuntime: `${paths.run}/mesos-agent`,
    /**
     * What tasks fetch; by default all agents of a machine share one in /tmp, emptied at each agent's start.
     */
    fetcherCache: `${paths.data}/mesos-fetcher`,
    /** Layers of images that the Mesos containerizer unpacks; by default in /tmp. */
    dockerStore: `${paths.data}/mesos-docker-store`,
    /** ZooKeeper's URL with its password, if the spec requires one. */
    zkUrl: `${paths.run}/mesos-zk-url`,
    /** The principals, with secrets, that a master or an agent accepts, if the spec names a principal. */
    credentials: `${paths.run}/mesos-credentials`,
  };
}

/**
 * The directory of an installation; empty if it has none of its own. Each archive has another one, so that
 * the running programs keep their files until they are restarted from the new one.
 */
export function mesosPrefix(install: Install, host: Pick<HostSpec, 'dir'>): string {
  switch (install.kind) {
    case 'path':
      return install.path;
    case 'tarball':
      return `${host.dir}/opt/mesos-${install.sha256.slice(0, 12)}`;
    case 'lab':
    case 'package':
    case 'image':
      return '';
  }
}
