import { hostPaths } from '../../hosts/paths.js';
import type { HostSpec, Install } from '../../cluster/spec.js';

/** Where Mesos' files lie on a host. */
export function mesosPaths(host: Pick<HostSpec, 'dir'>) {
  const paths = hostPaths(host);
  return {
    masterWork: `${paths.data}/mesos-master`,
    agentWork: `${paths.data}/mesos-agent`,
    masterLog: `${paths.log}/glog/mesos-master`,
    agentLog: `${paths.log}/glog/mesos-agent`,
    agentRuntime: `${paths.run}/mesos-agent`,
    /** What tasks fetch; by default all agents of a machine share one in /tmp, which each empties at its start. */
    fetcherCache: `${paths.data}/mesos-fetcher`,
    /** Layers of images that the Mesos containerizer unpacks; by default in /tmp. */
    dockerStore: `${paths.data}/mesos-docker-store`,
    /** Holds the URL of ZooKeeper with the password in it, where the spec asks for one. */
    zkUrl: `${paths.run}/mesos-zk-url`,
    /** Holds whom a master or an agent lets in, and with which secret, where the spec names a principal. */
    credentials: `${paths.run}/mesos-credentials`,
  };
}

/**
 * The directory that an installation lies in; empty for one that has none of its own. Each archive has another
 * one, so that the running programs keep their files until they are restarted from the new one.
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
