/** In which order the members of one service are changed. Pure. */
import type { ServiceMember } from './members.js';

export interface RollingStep {
  /** Hosts to change, in parallel. */
  readonly hosts: readonly string[];
  /** Change them only while all members serve: one of them is taken down by it. */
  readonly needsWhole: boolean;
  /** It is not known whether it serves. */
  readonly unsure?: true;
}

/**
 * Steps to change the members on the hosts of `pending`. Members that do not serve cannot be missed, so they
 * go first and all at once: on a first deployment that is everybody. Those that may serve for all that is known
 * follow, one at a time, and nobody waits for them before: what does not answer may need this very change. Those that
 * serve are next, one at a time, the leader last, so that leadership moves once; the service is to be whole before and
 * after each. At the end, in the same way, hosts that are no members any more.
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
