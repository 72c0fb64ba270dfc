import { hostsWithRole, type ClusterSpec, type HostSpec } from '../../cluster/spec.js';
import type { Endpoint } from '../../ssh/connection.js';
import type { Reach } from '../../ssh/reach.js';
import type { MasterAddress } from './http.js';
import { masterLeader } from './operator-client.js';

/** @throws PerijoveError SSH_* */
export function masterEndpoint(reach: Reach, host: HostSpec): Promise<Endpoint> {
  return reach.via(host.name, host.address, host.ports.master);
}

/** Host of the master that this one holds for the leader; null when it knows none, undefined without an answer. */
export async function namedLeader(
  { spec, reach }: { readonly spec: ClusterSpec; readonly reach: Reach },
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

function masterAt(spec: ClusterSpec, { host, port }: MasterAddress): HostSpec | undefined {
  return hostsWithRole(spec, 'master').find(
    (each) => each.ports.master === port && (each.address === host || each.hostname === host),
  );
}
