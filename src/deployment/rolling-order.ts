/** The order in which the members of a service are changed. Pure. */
import type { ServiceMember } from './members.js';

export interface RollingStep {
  /** Hosts to change, in parallel. */
  readonly hosts: readonly string[];
  /** Change them only while all members serve, since the change takes one down. */
  readonly needsWhole: boolean;
  /** It is unknown whether the member serves. */
  readonly unsure?: true;
}

/**
 * Steps to change the members on the hosts of `pending`. Members that are down go first, all at once: on a
 * first deployment that is everyone. Members in an unknown state follow, one at a time, without waiting until
 * all serve: a member that does not respond may need this very change. Serving members are next, one at a
 * time, the leader last, so that leadership moves once; all members must serve before and after each. Hosts
 * that are no longer members come last, in the same way.
 */
export function rollingSteps(
  pending: readonly string[],
  members: readonly ServiceMember[],
): readonly RollingStep[] {
  const changing = members.filter((member) => pending.includes(member.host));
  const inState = (state: ServiceMember['state']) =>
    changing.filter((member) => member.state === state).map((member) => member.host);
  const down = inState('down');
  const former = pending.filter((host) => !members.some((member) => member.host === host));
  return [
    ...(down.length === 0 ? [] : [{ hosts: down, needsWhole: false }]),
    ...inState('unknown').map((host) => ({ hosts: [host], needsWhole: false, unsure: true as const })),
    ...[...inState('up'), ...inState('leading'), ...former].map((host) => ({
      hosts: [host],
      needsWhole: true,
    })),
  ];
}
