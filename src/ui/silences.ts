/** What does not answer, and since when. Pure. */
import type { ClusterStatus } from '../status/cluster-status.js';

export interface Silence {
  /** A host by its name, Temporal's server, or all workers. */
  readonly of: { readonly kind: 'host'; readonly name: string } | { readonly kind: 'temporal' | 'workers' };
  /** ISO 8601: the first observation without an answer. */
  readonly since: string;
}

/** The silences of an observation; those that go on keep the time since when. */
export function silencesOf(
  status: ClusterStatus,
  hosts: readonly string[],
  { before, at }: { readonly before: readonly Silence[]; readonly at: string },
): readonly Silence[] {
  const found: Silence['of'][] = [
    ...(isUnanswered(status.workflows) ? [{ kind: 'temporal' } as const] : []),
    ...(status.stale ? [{ kind: 'workers' } as const] : []),
    ...hosts.filter((name) => isSilent(status, name)).map((name) => ({ kind: 'host', name }) as const),
  ];
  return found.map((of) => ({ of, since: before.find((each) => keyOf(each.of) === keyOf(of))?.since ?? at }));
}

export function keyOf(of: Silence['of']): string {
  return of.kind === 'host' ? `host ${of.name}` : of.kind;
}

function isUnanswered({ deploy, framework, keeper }: ClusterStatus['workflows']): boolean {
  return [deploy, framework, keeper].every((state) => state === 'unknown');
}

/** Nothing on the host has answered. A host with a program known to be down has: it said so. */
function isSilent({ zookeeper, mesos, proxies }: ClusterStatus, name: string): boolean {
  const answers = [
    ...zookeeper.members.filter(({ host }) => host === name).map(({ mode }) => mode !== 'no-answer'),
    ...mesos.masters.filter(({ host }) => host === name).map(({ state }) => state !== 'no-answer'),
    ...proxies.filter(({ host }) => host === name).map(({ generation }) => generation !== null),
  ];
  return answers.length > 0 && !answers.includes(true);
}
