/** Hosts of the deployed cluster that the spec no longer contains. Pure. */
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import type { ServiceStage } from './stages.js';

export interface LeavingHost {
  /** Without roles: as a host of the spec it is to lose its services. */
  readonly host: HostSpec;
  /** The stages whose services it still has. */
  readonly services: readonly ServiceStage[];
}

/**
 * The hosts of the cluster as it was last deployed that the spec lacks, without roles. A host that only has another
 * name in the spec does not leave.
 *
 * @param forgotten names of hosts that never come back
 */
export function hostsThatLeave(
  spec: ClusterSpec,
  deployed: readonly HostSpec[],
  forgotten: readonly string[],
): readonly HostSpec[] {
  return deployed
    .filter((host) => !spec.hosts.some((each) => each.name === host.name || isSamePlace(each, host)))
    .filter(({ name }) => !forgotten.includes(name))
    .map((host) => ({ ...host, roles: [] }));
}

/** Whether both have the same address, or the same directory of the same machine. */
function isSamePlace(one: HostSpec, other: HostSpec): boolean {
  const isSameMachine = one.ssh.address === other.ssh.address && one.ssh.port === other.ssh.port;
  return one.address === other.address || (isSameMachine && one.dir === other.dir);
}

/** The spec with the hosts that leave as its last ones: other hosts go on to reach them, and they are reached. */
export function withLeaving(spec: ClusterSpec, leaving: readonly HostSpec[]): ClusterSpec {
  return leaving.length === 0 ? spec : { ...spec, hosts: [...spec.hosts, ...leaving] };
}

/** The hosts that leave and still have the service of the stage. An agent is needed until the nodes have moved. */
export function leavingWith(leaving: readonly LeavingHost[], stage: string): readonly HostSpec[] {
  if (stage === 'agents') return [];
  return leaving.filter(({ services }) => services.some((each) => each === stage)).map(({ host }) => host);
}
