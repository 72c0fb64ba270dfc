import { noItems, type DaemonItem, type HostItems } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import { brickHosts, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { quote } from '../ssh/shell.js';
import type { GlusterSpec } from './gluster.js';
import { mountedFunction } from './mount-table.js';

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
          observe: `${mountedFunction(storage.mount)}
mounted && echo "mounted \${type:-nothing} $source"
timeout 10 ls -d "$at/notebooks"`,
          differences: (printed) => mountDifferences(storage, printed),
        },
      },
    ],
  };
}

/**
 * What of the mount is not as wanted. What is not known counts too: the service that is run again for it looks
 * itself, and mounts only where it sees that nothing is mounted.
 */
export function mountDifferences({ mount, volume }: GlusterSpec, printed: string): string[] {
  const lines = printed.split('\n');
  const [, type, source = ''] = lines.find((line) => line.startsWith('mounted '))?.split(' ') ?? [];
  if (type === undefined) return [`it is unknown what is mounted at ${mount}`];
  if (type === 'nothing') return [`${mount} is not mounted`];
  if (type !== 'fuse.glusterfs' || !isVolume(source, volume)) return [`${mount} has ${type} ${source}`];
  return lines.includes(`${mount}/notebooks`) ? [] : [`${mount} does not respond`];
}

/** `server:/volume`, which may be written without the slash. */
function isVolume(source: string, volume: string): boolean {
  return source.endsWith(`:/${volume}`) || source.endsWith(`:${volume}`);
}

/**
 * Tries for a minute: after a power cut the servers come up one after the other. A volume that is slow is left
 * alone; only one whose client is gone, as the kernel says, is unmounted. Nothing is mounted over what others mounted.
 */
function mountScript(spec: ClusterSpec, { volume, mount }: GlusterSpec, host: HostSpec): string {
  const servers = brickHosts(spec).map(({ address }) => address);
  // Its own first: it is there whichever other host is down.
  const [server = host.address, ...backups] = [
    ...servers.filter((address) => address === host.address),
    ...servers.filter((address) => address !== host.address),
  ];
  return `#!/bin/sh
# Written by Perijove: mounts the volume ${volume}. May be run again at any time.
PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin LC_ALL=C
export PATH LC_ALL
fail() { echo "$*" >&2; exit 1; }
${mountedFunction(mount)}
see() {
  mounted || fail "the table of mounts cannot be read, so it is not known what is at $at"
  case $type:$source in
  : | fuse.glusterfs:*:/${volume} | fuse.glusterfs:*:${volume}) ;;
  *) fail "$type $source is mounted at $at, and is not the volume ${volume}" ;;
  esac
}
see
if [ -n "$type" ]; then
  said=$(timeout 30 ls -d "$at/." 2>&1)
  case $?:$said in
  0:*) ;;
  *'Transport endpoint is not connected'*) umount -l "$at" || exit 1; see ;;
  *) fail "$at does not answer: \${said:-nothing within 30 s}" ;;
  esac
fi
[ -n "$type" ] || mkdir -p "$at" || exit 1
tries=0
while [ -z "$type" ]; do
  mount -t glusterfs -o _netdev,backup-volfile-servers=${backups.join(':')} ${quote(`${server}:/${volume}`)} "$at"
  see
  [ -z "$type" ] || break
  tries=$((tries + 1)); [ "$tries" -lt 30 ] || exit 1
  sleep 2
done
mkdir -p "$at/notebooks"
`;
}
