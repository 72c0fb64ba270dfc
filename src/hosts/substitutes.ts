import { quote } from '../ssh/shell.js';

/**
 * Programs that make a package unnecessary where all of them are there: who has Docker from elsewhere needs no
 * docker.io, which would even push it out.
 */
const programsOf: Readonly<Record<string, readonly string[]>> = {
  runit: ['runsvdir', 'svlogd'],
  'docker.io': ['docker', 'dockerd'],
  iptables: ['iptables'],
  iproute2: ['ip', 'bridge'],
  'glusterfs-server': ['glusterd', 'gluster'],
  'glusterfs-client': ['glusterfs', 'mount.glusterfs'],
};

/**
 * Shell that prints `PREFIX PACKAGE` for each of the packages that is installed, or whose programs came otherwise;
 * some of them twice.
 */
export function installedScript(packages: readonly string[], prefix: string): string[] {
  if (packages.length === 0) return [];
  const substituted = packages.flatMap((name) => {
    const programs = programsOf[name];
    if (programs === undefined) return [];
    const all = programs.map((program) => `command -v ${program} >/dev/null`).join(' && ');
    return [
      `if ( PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"; ${all} ); then echo ${quote(`${prefix} ${name}`)}; fi`,
    ];
  });
  return [
    `dpkg-query -W -f '\${db:Status-Status} \${Package}\\n' ${packages.map(quote).join(' ')} 2>/dev/null | sed -n ${quote(`s/^installed /${prefix} /p`)}`,
    ...substituted,
  ];
}
