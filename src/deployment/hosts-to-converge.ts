/** Which hosts a stage has work on. Pure. */
import type { HostSurvey } from './host-survey.js';
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import type { StageName } from './stages.js';

/**
 * The hosts that stage `name` must converge: those on which the survey found a difference, and those that got
 * a secret since, on which a service may have to start anew with it. On all others an activity would only find
 * once more what the survey found.
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
 * The cluster as one host needs to know it: itself, and the hosts of the ensemble and the masters in their
 * order. With hundreds of hosts the whole spec in each activity's input would be more than a server takes.
 */
export function specForHost(spec: ClusterSpec, host: HostSpec): ClusterSpec {
  // A host of a VXLAN forwards to all others by their addresses, and its own place in it depends on theirs.
  if (spec.network.kind === 'vxlan' || spec.storage.kind === 'gluster') return spec;
  const known = new Set(
    [host, ...hostsWithRole(spec, 'zookeeper'), ...hostsWithRole(spec, 'master')].map(({ name }) => name),
  );
  return { ...spec, hosts: spec.hosts.filter(({ name }) => known.has(name)) };
}
