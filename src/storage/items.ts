import { noItems, type DaemonItem, type HostItems } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import { brickHosts, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { quote } from '../ssh/shell.js';
import type { GlusterSpec } from './gluster.js';
import { mountedFunction } from '../hosts/mount-table.js';

/** The service that mounts the volume, once after each boot. */
export const storageService = 'storage';

export const glusterDaemon: DaemonItem = {
  name: 'glusterd',
  answers: 'timeout 10 gluster --mode=script pool list',
  // The host itself is the last one in the pool.
  usedBy: `volumes=$(timeout 10 gluster --mode=script volume list 2>&1) && peers=$(timeout 10 gluster --mode=script pool list) && {
  case $volumes in '') exit 1 ;; 'No volumes'*) ;; *) echo "$volumes" ;; esac
  case $peers in *localhost*) ;; *) exit 1 ;; esac
  printf '%s\\n' "$peers" | while read -r id name state; do case $name in ''|localhost|Hostname) ;; *) echo "$name" ;; esac; done
}`,
};

/** GlusterFS itself: servers on hosts with bricks, clients on all hosts with nodes. */
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
 * What a host needs so that its nodes find the notebooks. A missing path is created; an existing one keeps
 * its mode, since it may be a foreign mount. A GlusterFS volume is mounted, now and after each boot.
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
 * The differences between a mount and its desired state. An unknown state counts as a difference: the service
 * then runs again, observes for itself, and mounts only if nothing is mounted.
 */
export function mountDifferences({ mount, volume }: GlusterSpec, printed: string): string[] {
  const lines = printed.split('\n');
  const [, type, source = ''] = lines.find((line) => line.startsWith('mounted '))?.split(' ') ?? [];
  if (type === undefined) return [`it is unknown what is mounted at ${mount}`];
  if (type === 'nothing') return [`${mount} is not mounted`];
  if (type !== 'fuse.glusterfs' || !isVolume(source, volume)) return [`${mount} has ${type} ${source}`];
  return lines.includes(`${mount}/notebooks`) ? [] : [`${mount} does not respond`];
}

/** `server:/volume`; the slash is optional. */
function isVolume(source: string, volume: string): boolean {
  return source.endsWith(`:/${volume}`) || source.endsWith(`:${volume}`);
}

/**
 * Tries for a minute: after a power failure the servers start one after the other. A slow volume is left
 * alone; one is unmounted only if the kernel reports that its client is gone. Never mounts over another file
 * system.
 */
function mountScript(spec: ClusterSpec, { volume, mount }: GlusterSpec, host: HostSpec): string {
  const servers = brickHosts(spec).map(({ address }) => address);
  // Its own server first: it works whichever other host is down.
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
