import { hostsWithRole, type ClusterSpec, type HostSpec } from '../../cluster/spec.js';
import type { Endpoint } from '../../ssh/connection.js';
import type { Reach } from '../../ssh/reach.js';
import { masterAt } from './http.js';
import { masterLeader } from './operator-client.js';

/** By host of each master that responds: the host that it names as the leader, or null when it knows none. */
export type NamedLeaders = Readonly<Record<string, string | null>>;

export interface NamedLeadersDeps {
  readonly spec: ClusterSpec;
  readonly reach: Reach;
}

/** @throws PerijoveError SSH_* */
export function masterEndpoint(reach: Reach, host: HostSpec): Promise<Endpoint> {
  return reach.via(host.name, host.address, host.ports.master);
}

/** Asks all masters which one leads, each for at most `timeoutMs`. Never rejects. */
export async function namedLeaders(deps: NamedLeadersDeps, timeoutMs: number): Promise<NamedLeaders> {
  const answers = await Promise.all(
    hostsWithRole(deps.spec, 'master').map(async (host) => {
      const leader = await namedLeader(deps, host, timeoutMs);
      return leader === undefined ? [] : [[host.name, leader] as const];
    }),
  );
  return Object.fromEntries(answers.flat());
}

/** The host that one master names as the leader; null when it knows none, undefined without a response. */
export async function namedLeader(
  { spec, reach }: NamedLeadersDeps,
  host: HostSpec,
  timeoutMs: number,
): Promise<string | null | undefined> {
  try {
    const leader = await masterLeader(await masterEndpoint(reach, host), { timeoutMs });
    return leader === undefined ? null : (masterAt(spec, leader)?.name ?? null);
  } catch {
    return undefined;
  }
}
