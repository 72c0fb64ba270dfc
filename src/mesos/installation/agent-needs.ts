/** What an agent needs of its host, and which of it does not fit: decided from what was observed. Pure. */
import type { ClusterSpec, HostSpec } from '../../cluster/spec.js';
import type { MesosInstallation } from './installation.js';
import { agentFlagsOf } from './items.js';

/** For people: one host's agent. */
export interface AgentReport {
  readonly host: string;
  /** `Mesos 1.3.2`, `control groups v2`; `unknown` for what the host did not report. */
  readonly facts: readonly string[];
  /** Full sentences. The agent may not start, or not run nodes; what is unknown gives none. */
  readonly warnings: readonly string[];
}

/** The isolators of Mesos 1.11, and those that earlier releases had (Mesos' page on its containerizer). */
const isolators: ReadonlySet<string> = new Set([
  ...['appc/runtime', 'docker/runtime', 'docker/volume', 'environment_secret', 'gpu/nvidia'],
  ...['cgroups/all', 'cgroups/blkio', 'cgroups/cpu', 'cgroups/cpuset', 'cgroups/devices', 'cgroups/hugetlb'],
  ...['cgroups/mem', 'cgroups/net_cls', 'cgroups/net_prio', 'cgroups/perf_event', 'cgroups/pids'],
  ...['disk/du', 'disk/xfs', 'filesystem/linux', 'filesystem/posix', 'filesystem/shared'],
  ...[
    'linux/capabilities',
    'linux/devices',
    'linux/nnp',
    'linux/seccomp',
    'namespaces/ipc',
    'namespaces/pid',
  ],
  ...['network/cni', 'network/port_mapping', 'network/ports', 'posix/cpu', 'posix/disk', 'posix/mem'],
  ...['posix/rlimits', 'volume/csi', 'volume/host_path', 'volume/image', 'volume/sandbox_path'],
  ...['volume/secret', 'xfs/disk'],
]);

/** The first release of Clusterd that works with Docker Engine 26, and the first that requires control groups v2. */
const forDocker26 = [0, 5] as const;
const forControlGroupsV2 = [0, 6] as const;

/** Undefined if the host has no agent, or its Mesos is not there yet. */
export function agentReport(
  spec: ClusterSpec,
  host: HostSpec,
  found: MesosInstallation | undefined,
): AgentReport | undefined {
  const program = found?.programs['mesos-agent'];
  if (found === undefined || program === undefined || !host.roles.includes('agent')) return undefined;
  const { launcher, isolation = 'posix/cpu,posix/mem' } = agentFlagsOf(spec, host, found);
  const usesDocker = spec.nodes.containerizer === 'docker';
  const { controlGroups, dockerVersion } = found;
  const release = releaseOf(program.version, found.packageVersion);
  const names = isolation.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !isolators.has(name) && !hasModules(spec));
  return {
    host: host.name,
    facts: [
      `Mesos ${found.packageVersion ?? program.version ?? 'of an unknown version'}`,
      `control groups ${controlGroups === undefined ? 'unknown' : `v${controlGroups}`}`,
      ...(usesDocker ? [`Docker ${dockerVersion ?? 'unknown'}`] : []),
      `launcher ${launcher ?? 'by default'}`,
      `isolation ${isolation}`,
    ],
    warnings: [
      ...controlGroupWarnings(release, found, launcher ?? 'linux', names),
      ...(usesDocker ? dockerWarnings(release, dockerVersion) : []),
      ...(launcher === undefined || ['linux', 'posix'].includes(launcher)
        ? []
        : [`Mesos has no launcher \`${launcher}\`: use \`linux\` or \`posix\`.`]),
      ...(unknown.length === 0
        ? []
        : [`Mesos has no isolator ${unknown.map((name) => `\`${name}\``).join(', ')} of its own.`]),
    ],
  };
}

/** A release of Apache Mesos, of Clusterd (its own number), or `either`: both call themselves 1.11.0. */
type Release = 'apache' | readonly [number, number] | 'either' | 'unknown';

function releaseOf(version: string | undefined, packageVersion: string | undefined): Release {
  const [, major, minor] = /-(\d+)\.(\d+)\.\d+/.exec(packageVersion ?? '') ?? [];
  if (packageVersion?.startsWith('1.11.0-') && major !== undefined && minor !== undefined) {
    return [Number(major), Number(minor)];
  }
  if (version === undefined) return 'unknown';
  return version.startsWith('1.11.') ? 'either' : 'apache';
}

function isBefore(release: Release, [major, minor]: readonly [number, number]): boolean {
  if (typeof release === 'string') return release === 'apache';
  return release[0] < major || (release[0] === major && release[1] < minor);
}

function controlGroupWarnings(
  release: Release,
  { controlGroups }: MesosInstallation,
  launcher: string,
  names: readonly string[],
): string[] {
  const uses = names.filter((name) => name.startsWith('cgroups/'));
  const isLinux = launcher !== 'posix' || uses.length > 0;
  const what = uses.length === 0 ? 'the launcher `linux`' : uses.join(', ');
  if (controlGroups === 2 && isLinux && isBefore(release, forControlGroupsV2)) {
    return [
      `The host has control groups v2 alone, and in this Mesos ${what} needs v1. Set \`launcher: posix\` and isolators without \`cgroups/\` in \`mesos.agent.flags\`, or use Clusterd 0.6.0 or later.`,
    ];
  }
  if (controlGroups === 1 && typeof release !== 'string' && !isBefore(release, forControlGroupsV2)) {
    return ['Clusterd 0.6.0 and later require control groups v2, and the host has v1.'];
  }
  return [];
}

function dockerWarnings(release: Release, dockerVersion: string | undefined): string[] {
  const major = Number(/^\d+/.exec(dockerVersion ?? '')?.[0] ?? 0);
  if (major < 26 || !isBefore(release, forDocker26)) return [];
  return [`Docker ${dockerVersion} works with Clusterd 0.5.0 and later, not with Apache Mesos.`];
}

function hasModules({ mesos }: ClusterSpec): boolean {
  return mesos.agentFlags['modules'] !== undefined || mesos.agentFlags['modules_dir'] !== undefined;
}
