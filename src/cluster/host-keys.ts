/** The SSH keys that hosts must present. Pure. */
import type { ClusterSpec, HostSpec, SshTarget } from './spec.js';

/** Public keys, each `TYPE BASE64`, by `placeOfTarget`. */
export type HostKeys = Readonly<Record<string, readonly string[]>>;

/** `address:port`, also of jump hosts. */
export function placeOfTarget({ address, port }: Pick<SshTarget, 'address' | 'port'>): string {
  return `${address}:${port}`;
}

/** Every target of the hosts once per host: the hosts themselves, and their jump hosts. */
export function targetsOf(hosts: readonly HostSpec[]): readonly SshTarget[] {
  return hosts.flatMap(({ ssh, jump }) => (jump === undefined ? [ssh] : [ssh, jump]));
}

/** Whether a target is trusted at first sight: the spec names neither a known_hosts file nor keys. */
export function isUnkeyed({ knownHostsFile, hostKeys }: SshTarget): boolean {
  return knownHostsFile === undefined && hostKeys === undefined;
}

/** The keys that the targets of the hosts have; none for those with a known_hosts file. */
export function hostKeysOf(hosts: readonly HostSpec[]): HostKeys {
  return Object.fromEntries(
    targetsOf(hosts).flatMap((target) =>
      target.hostKeys === undefined || target.knownHostsFile !== undefined
        ? []
        : [[placeOfTarget(target), target.hostKeys] as const],
    ),
  );
}

/** The spec with keys for the targets that are unkeyed. What it has, stays. */
export function withHostKeys(spec: ClusterSpec, keys: HostKeys): ClusterSpec {
  return mapTargets(spec, (target) => {
    const found = keys[placeOfTarget(target)];
    return found === undefined || !isUnkeyed(target) ? target : { ...target, hostKeys: found };
  });
}

/** The spec as far as it describes what is deployed: keys only say whom to trust. */
export function withoutHostKeys(spec: ClusterSpec): ClusterSpec {
  return mapTargets(spec, (target) => {
    if (target.hostKeys === undefined) return target;
    const { hostKeys: _keys, ...rest } = target;
    return rest;
  });
}

/** The same object if no target changes. */
function mapTargets(spec: ClusterSpec, map: (target: SshTarget) => SshTarget): ClusterSpec {
  const hosts = spec.hosts.map((host) => {
    const ssh = map(host.ssh);
    const jump = host.jump && map(host.jump);
    if (ssh === host.ssh && jump === host.jump) return host;
    return { ...host, ssh, ...(jump && { jump }) };
  });
  return hosts.some((host, index) => host !== spec.hosts[index]) ? { ...spec, hosts } : spec;
}
