import { noItems, type DaemonItem, type HostItems } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import { brickHosts, type ClusterSpec, type HostSpec } from '../spec/cluster.js';
import { quote } from '../ssh/shell.js';
import type { GlusterSpec } from './gluster.js';

/** The service that mounts the volume, once after each boot. */
export const storageService = 'storage';

export const glusterDaemon: DaemonItem = {
  name: 'glusterd',
  answers: 'timeout 10 gluster --mode=script pool list',
  // Itself is the last of the pool.
  usedBy: `volumes=$(timeout 10 gluster --mode=script volume list 2>&1) && peers=$(timeout 10 gluster --mode=script pool list) && {
  case $volumes in '') exit 1 ;; 'No volumes'*) ;; *) echo "$volumes" ;; esac
  case $peers in *localhost*) ;; *) exit 1 ;; esac
  printf '%s\\n' "$peers" | while read -r id name state; do case $name in ''|localhost|Hostname) ;; *) echo "$name" ;; esac; done
}`,
};

/** GlusterFS itself: servers where bricks lie, clients wherever nodes run. */
export function glusterItems(spec: ClusterSpec, host: HostSpec): HostItems {
  if (spec.storage.kind !== 'gluster' || !host.roles.includes('agent')) return noItems;
  const isServer = brickHosts(spec).some(({ name }) => name === host.name);
  return {
    ...noItems,
    packages: [...(isServer ? ['glusterfs-server'] : []), 'glusterfs-client'],
    daemons: isServer ? [glusterDaemon] : [],
  };
}

/**
 * What a host needs so that nodes on it find the notebooks. A path is made where it is missing and keeps its
 * mode where it is there: it may be somebody's mount. A GlusterFS volume is mounted, now and after each boot.
 */
export function storageItems(spec: ClusterSpec, host: HostSpec): HostItems {
  const { storage } = spec;
  if (!host.roles.includes('agent')) return noItems;
  if (storage.kind === 'path') return { ...noItems, directories: [{ path: storage.path }] };
  const script = `${hostPaths(host).etc}/storage.sh`;
  return {
    ...noItems,
    files: [{ path: script, mode: 0o755, source: { kind: 'text', text: mountScript(spec, storage, host) } }],
    services: [
      {
        name: storageService,
        description: `GlusterFS volume ${storage.volume} of ${spec.name}`,
        exec: ['/bin/sh', script],
        env: {},
        restartOn: [script],
        // The client is a child that outlives the script.
        leaveChildren: true,
        once: { before: ['docker.service', `perijove-${spec.name}-mesos-agent.service`] },
        effect: {
          observe: `grep -F ${quote(` ${storage.mount} `)} /proc/self/mountinfo; timeout 10 ls -d ${quote(`${storage.mount}/notebooks`)}`,
          differences: (printed) => mountDifferences(storage, printed),
        },
      },
    ],
  };
}

/** What of the mount is not as wanted, by /proc/self/mountinfo and the directory in it. */
export function mountDifferences({ mount }: GlusterSpec, printed: string): string[] {
  const lines = printed.split('\n');
  if (!lines.some((line) => line.includes(` ${mount} `) && line.includes(' - fuse.glusterfs '))) {
    return [`${mount} is not mounted`];
  }
  return lines.includes(`${mount}/notebooks`) ? [] : [`${mount} does not answer`];
}

/** Tries for a minute: after a power cut the servers come up one after the other. */
function mountScript(spec: ClusterSpec, { volume, mount }: GlusterSpec, host: HostSpec): string {
  const servers = brickHosts(spec).map(({ address }) => address);
  // Its own first: it is there whichever other host is down.
  const [server = host.address, ...backups] = [
    ...servers.filter((address) => address === host.address),
    ...servers.filter((address) => address !== host.address),
  ];
  return `#!/bin/sh
# Written by Perijove: mounts the volume ${volume}. May be run again at any time.
PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin
at=${quote(mount)}
mounted() { grep -F " $at " /proc/self/mountinfo | grep -qF ' - fuse.glusterfs '; }
if mounted && ! timeout 10 ls -d "$at/." >/dev/null 2>&1; then umount -l "$at" || exit 1; fi
mkdir -p "$at" || exit 1
tries=0
until mounted; do
  mount -t glusterfs -o _netdev,backup-volfile-servers=${backups.join(':')} ${quote(`${server}:/${volume}`)} "$at" && continue
  tries=$((tries + 1)); [ "$tries" -lt 30 ] || exit 1
  sleep 2
done
mkdir -p "$at/notebooks"
`;
}
