import { quote } from '../ssh/shell.js';
import { known, notKnown, type Observation } from './observation.js';

/**
 * Programs that make a package unnecessary if all of them exist: a host with Docker from another source does
 * not need docker.io, which would even replace it.
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
 * Shell that prints the dpkg status of each package for `parsePackages`, and `package installed PACKAGE` if
 * its programs were installed in another way.
 */
export function installedScript(packages: readonly string[]): string[] {
  if (packages.length === 0) return [];
  const names = packages.map(quote).join(' ');
  const substituted = packages.flatMap((name) => {
    const programs = programsOf[name];
    if (programs === undefined) return [];
    const all = programs.map((program) => `command -v ${program} >/dev/null`).join(' && ');
    return [
      `if ( PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"; ${all} ); then echo ${quote(`package installed ${name}`)}; fi`,
    ];
  });
  return [
    `if command -v dpkg-query >/dev/null; then
  { unknown=$(LC_ALL=C dpkg-query -W -f 'package \${db:Status-Status} \${Package}\\n' ${names} 2>&1 >&3); } 3>&1
  printf '%s\\n' "$unknown"
else
  for name in ${names}; do echo "package absent $name"; done
fi`,
    ...substituted,
  ];
}

/** Which of the packages are installed; not known if one of them was not reported. */
export function parsePackages(output: string, packages: readonly string[]): Observation<ReadonlySet<string>> {
  const installed = new Set<string>();
  const answered = new Set<string>();
  for (const line of output.split('\n')) {
    const [, status, name] =
      /^package (\S+) (\S+)$/.exec(line) ??
      /^dpkg-query: (no packages) found matching (\S+)$/.exec(line) ??
      [];
    if (name === undefined) continue;
    answered.add(name);
    if (status === 'installed') installed.add(name);
  }
  const silent = packages.filter((name) => !answered.has(name));
  return silent.length === 0
    ? known(installed)
    : notKnown(`dpkg-query did not report whether ${silent.join(', ')} is installed`);
}
