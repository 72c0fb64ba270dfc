/** Selects the hosts that a stage must converge. Pure. */
import type { HostSurvey } from './host-survey.js';
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import type { StageName } from './stages.js';

/**
 * The hosts that stage `name` must converge: those on which the survey found differences, and those that
 * received a secret since, on which a service may have to restart. On all others an activity would only
 * repeat the survey.
 */
export function hostsToConverge(
  spec: ClusterSpec,
  name: StageName,
  surveys: readonly HostSurvey[],
  gotSecrets: ReadonlySet<string>,
): readonly HostSpec[] {
  const pending = new Set(
    surveys.filter((survey) => (survey.pending[name] ?? []).length > 0).map((survey) => survey.host),
  );
  return spec.hosts.filter((host) => pending.has(host.name) || gotSecrets.has(host.name));
}

/**
 * The part of the cluster that one host needs: the host itself, and the hosts of the ensemble and the
 * masters, in order. With hundreds of hosts, the whole spec in each activity's input would exceed the
 * server's limits.
 */
export function specForHost(spec: ClusterSpec, host: HostSpec): ClusterSpec {
  // In a VXLAN a host forwards to all others by address, and its own address in it depends on theirs.
  if (spec.network.kind === 'vxlan' || spec.storage.kind === 'gluster') return spec;
  const known = new Set(
    [host, ...hostsWithRole(spec, 'zookeeper'), ...hostsWithRole(spec, 'master')].map(({ name }) => name),
  );
  return { ...spec, hosts: spec.hosts.filter(({ name }) => known.has(name)) };
}

/** Directories of the other hosts on the same machine, of which their loopback addresses tell. */
export function neighbourDirs(spec: ClusterSpec, host: HostSpec): readonly string[] {
  const isLoopback = ({ address }: HostSpec) => address.startsWith('127.');
  if (!isLoopback(host)) return [];
  return spec.hosts.filter((each) => each.name !== host.name && isLoopback(each)).map(({ dir }) => dir);
}
