import { hostOf } from '../cluster/host-of.js';
import { hostServices } from '../hosts/services.js';
import { masterService } from '../mesos/installation/items.js';
import { leaderOf } from '../mesos/masters/agreement.js';
import { hostOfAgent } from '../mesos/scheduler/launch.js';
import type { Credential } from '../mesos/masters/http.js';
import { recoveredState, type MasterState } from '../mesos/masters/operator-client.js';
import { kindOf, parseTaskId } from '../mesos/scheduler/tasks.js';
import { masterEndpoint, namedLeaders } from '../mesos/masters/named-leaders.js';
import { hostsWithRole, nodeNames, type ClusterSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import type { Reach } from '../ssh/reach.js';
import { lastWordsIn, type FormerLeader, type MesosObservation, type MesosState } from './mesos.js';
import { isSame } from './marks.js';
import type { Fault } from './faults/index.js';

export interface MesosObservationDeps {
  readonly spec: ClusterSpec;
  readonly reach: Reach;
  /** Present if the spec names a principal. */
  readonly credential?: Credential;
}

export const askMs = 1_000;

/** One observation of all masters, and the state reported by the leader. Never rejects. */
export async function observeMasters(deps: MesosObservationDeps): Promise<MesosObservation> {
  const masters = await namedLeaders(deps, askMs);
  const state = await stateOf(deps, leaderOf(masters));
  return { masters, ...(state && { state }) };
}

/**
 * State reported by a host's master; undefined when it does not lead, has not read its registry, or is
 * silent.
 */
export async function stateOf(
  { spec, reach, credential }: MesosObservationDeps,
  leader: string | undefined,
): Promise<MesosState | undefined> {
  const host = hostsWithRole(spec, 'master').find(({ name }) => name === leader);
  if (!host) return undefined;
  try {
    const endpoint = await masterEndpoint(reach, host);
    return factsOf(
      spec,
      await recoveredState(endpoint, { timeoutMs: askMs, ...(credential && { credential }) }),
    );
  } catch {
    return undefined;
  }
}

function factsOf(spec: ClusterSpec, { agents, frameworks }: MasterState): MesosState {
  const ours = frameworks.filter(({ name }) => name === spec.mesos.framework);
  const tasks = ours
    .flatMap((framework) => [...framework.tasks, ...framework.unreachableTasks])
    .filter(({ state }) => kindOf(state) !== 'terminal')
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
  return {
    agents: Object.fromEntries(
      agents.flatMap(({ id, hostname, address, port, attributes, registeredAt, active }) => {
        const host = hostOfAgent(spec, { hostname, address: { ip: address, port }, attributes });
        return host ? [[host.name, { id, since: registeredAt, active }] as const] : [];
      }),
    ),
    connected: ours.some(({ connected, active }) => connected && active),
    tasks: Object.fromEntries(
      nodeNames(spec).map((node) => [
        node,
        tasks
          .filter(({ id }) => parseTaskId(id)?.node === node)
          .map(({ id, agentId, state }) => ({ id, agentId, state })),
      ]),
    ),
  };
}

/** Log lines that a master may write between its end and the observation. */
const logLines = 2_000;

/**
 * What became of a suspended master; undefined for any other fault.
 *
 * @throws PerijoveError SSH_*, COMMAND_FAILED
 */
export async function observeFormerLeader(
  { pool, spec }: { readonly pool: SshPool; readonly spec: ClusterSpec },
  fault: Fault,
): Promise<FormerLeader | undefined> {
  if (fault.kind !== 'process-signal' || fault.service !== masterService || fault.signal !== 'STOP') {
    return undefined;
  }
  const connection = await pool.get(hostOf(spec, fault.host, 'DRILL_UNHEALTHY'));
  const [alive, log] = await Promise.all([
    isSame(connection, fault.process),
    hostServices(connection, spec.name).then((services) => services.logs(masterService, logLines)),
  ]);
  const words = lastWordsIn(log, (fault.clock ?? 0) * 1_000);
  return { ended: !alive, ...(words !== undefined && { words }) };
}
