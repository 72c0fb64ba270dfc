/**
 * What a deployment changes on a host outside its base directory. The table in docs/reference/host-changes.md
 * is generated from it; test/e2e/compose.e2e.test.ts and bench/bare.ts compare servers with it, entry by
 * entry, in both directions.
 */
export interface Trace {
  /** For people, in Markdown. */
  readonly what: string;
  /** Whether `down --purge` removes it. */
  readonly until: 'purge' | 'kept';
  /**
   * Entries that the deployment adds, as `AREA: KEY VALUE` of a snapshot (test/support/snapshot.ts). What
   * existed before is never included.
   */
  readonly added?: readonly RegExp[];
  /** Entries that the deployment changes, as `AREA: KEY`. */
  readonly changed?: readonly RegExp[];
}

const link = 'perijove|vxlan42|veth[0-9a-f]+';

export const footprint: readonly Trace[] = [
  {
    what: 'The base directory, `/opt/perijove`, with all programs, data, secrets and logs',
    until: 'purge',
    added: [/^file: \/opt\/perijove d 755 root:root$/],
  },
  {
    what: 'The units `perijove-<cluster>-<service>.service` in `/etc/systemd/system`, enabled and running, with their processes and the ports of the spec',
    until: 'purge',
    added: [
      /^unit: perijove-[\w-]+\.service enabled$/,
      /^active: perijove-[\w-]+\.service active$/,
      /^file: \/etc\/systemd\/system\/perijove-[\w-]+\.service f 600 root:root$/,
      /^file: content of \/etc\/systemd\/system\/perijove-[\w-]+\.service /,
      /^file: \/etc\/systemd\/system\/multi-user\.target\.wants\/perijove-[\w-]+\.service l /,
      /^process: (java|node) of root$/,
      /^port: tcp \S+:\d+ (java|node)$/,
    ],
  },
  {
    what: 'With `network.vxlan`: the bridge `perijove` and the device `vxlan<id>`, with their addresses, routes, kernel settings and UDP port 4789; the Docker network on them, with its firewall rules',
    until: 'purge',
    added: [
      new RegExp(`^link: (${link}) `),
      /^route: .* dev perijove /,
      new RegExp(`^sysctl: net\\.ipv[46]\\.(conf|neigh)\\.(${link})\\.`),
      /^port: udp 0\.0\.0\.0:4789$/,
      /^firewall: .* -[io] perijove /,
    ],
  },
  {
    what: 'With `storage.gluster`: the mount, the processes and ports of its bricks and clients',
    until: 'purge',
    added: [
      /^mount: \/srv\/notebooks fuse\.glusterfs /,
      /^active: srv-notebooks\.mount active$/,
      /^process: (glusterfs|glusterfsd) of root$/,
      /^port: tcp 0\.0\.0\.0:\d+ glusterfsd$/,
    ],
  },
  {
    what: 'Containers of nodes: their mounts below `/var/lib/docker` and `/run/docker`, their processes',
    until: 'purge',
    added: [
      /^mount: \/(var\/lib\/docker\/overlay2|run\/docker\/netns)\//,
      /^active: (var-lib-docker-overlay2|run-docker-netns)-\S+\.mount active$/,
      /^process: containerd-shim of root$/,
    ],
  },
  {
    what: 'The daemons `docker` and `glusterd` of the packages, enabled and running if they were not before (`<dir>/etc/daemons`)',
    until: 'purge',
    added: [
      /^unit: (docker|glusterd)\.service enabled$/,
      /^active: (docker\.service|docker\.socket|glusterd\.service) active$/,
      /^file: \/etc\/systemd\/system\/multi-user\.target\.wants\/(docker|glusterd)\.service l /,
      /^file: \/etc\/rc[2-5]\.d\/S01docker l /,
      /^process: (dockerd|glusterd) of root$/,
      /^port: tcp 0\.0\.0\.0:24007 glusterd$/,
      /^file: \/run\/(docker|glusterd)\.pid /,
    ],
  },
  {
    what: 'The Debian packages that were missing, with their dependencies. No package is removed; apt upgrades an installed one only if a new one requires it',
    until: 'kept',
    added: [/^package: \S+ ii \S+$/],
  },
  {
    what: 'Files of these packages, and files that their installation creates, in `/etc` (their alternatives and rc links, the certificates for Java), `/usr/local` and `/var/lib`; the cache of `ldconfig`',
    until: 'kept',
    added: [
      /^file: (content of )?\/etc\/.* packaged$/,
      /^file: \/etc\/alternatives\/\S+ l /,
      /^file: (content of )?\/etc\/ssl\/certs\/java\/cacerts /,
      /^file: (content of )?\/etc\/(\.java|python3)(\/\S+)? /,
      /^file: (content of )?\/etc\/(inputrc|networks) /,
      /^file: \/etc\/(fonts\/conf\.d\/\S+|zookeeper\/conf) l /,
      /^file: \/etc\/rc[0-6S]\.d\/(K01docker|S01x11-common) l /,
      /^file: \/usr\/local\/(lib\/python3\.\d+|lib\/python3\.\d+\/dist-packages|share\/fonts) d /,
      /^file: \/var\/lib\/(ca-certificates-java|containerd|glusterd|python|zookeeper) d /,
    ],
    changed: [/^file: content of \/etc\/ld\.so\.cache$/],
  },
  {
    what: 'The users `gluster` and `zookeeper` and the groups `docker`, `gluster` and `zookeeper` of these packages',
    until: 'kept',
    added: [
      /^account: (passwd|shadow) (gluster|zookeeper) /,
      /^account: (group|gshadow) (docker|gluster|zookeeper) /,
      /^file: \/run\/adduser f /,
    ],
    changed: [/^file: content of \/etc\/(passwd|shadow|group|gshadow)-?$/],
  },
  {
    what: 'The units of these packages, disabled after `down --purge`',
    until: 'kept',
    added: [/^unit: (containerd|docker|glusterd|glustereventsd)\.(service|socket) disabled$/],
  },
  {
    what: 'Files of Docker: its identity in `/etc/docker`, the mode 710 of `/var/lib/docker`, the images there',
    until: 'kept',
    added: [/^file: (content of )?\/etc\/docker(\/key\.json)? /, /^file: \/etc\/cni(\/net\.d)? d /],
    changed: [/^file: \/var\/lib\/docker$/],
  },
  {
    what: 'Until the next boot: `containerd`, which Docker started; the bridge `docker0`, its route and its kernel settings; the firewall chains of Docker, with rules for `docker0`; sockets and locks in `/run`',
    until: 'kept',
    added: [
      /^active: containerd\.service active$/,
      /^process: containerd of root$/,
      /^port: tcp 127\.0\.0\.1:\d+ containerd$/,
      /^link: docker0 /,
      /^route: .* dev docker0 /,
      /^sysctl: net\.ipv[46]\.(conf|neigh)\.docker0\./,
      /^firewall: iptables-nft (filter|nat) (?!.*perijove)(:DOCKER\S* -|-A (FORWARD|OUTPUT|PREROUTING|DOCKER\S*) .*-j DOCKER\S*|-A DOCKER\S* .*-j (RETURN|DROP)|-A FORWARD (-i docker0 (! )?-o docker0|-o docker0 -m conntrack --ctstate RELATED,ESTABLISHED) -j ACCEPT|-A POSTROUTING -s \S+ ! -o docker0 -j MASQUERADE)$/,
      /^file: \/run\/(containerd|docker|docker\.sock|gluster|glusterd\.socket|lock\/perijove-apt) /,
      /^active: network-online\.target active$/,
    ],
  },
  {
    what: 'The empty mount point of the notebooks (`storage.gluster.mount`), and the directory of the JVM in `/tmp`',
    until: 'kept',
    added: [/^file: \/srv\/notebooks d /, /^file: \/tmp\/hsperfdata_root d /],
  },
];
