import { messageOf, PerijoveError } from '../../errors/error.js';
import { known, notKnown, type Observation } from '../../hosts/observation.js';
import { hostsWithRole, type ClusterSpec } from '../../cluster/spec.js';
import { pause } from '../../net/pause.js';
import type { AgentPresence, MesosFacts } from '../scheduler/framework-events.js';
import { hostOfAgent } from '../scheduler/launch.js';
import { masterAt, type MasterAddress } from './http.js';
import { masterAgents, type MasterAgents } from './operator-client.js';
import type { SchedulerDeps } from '../scheduler/deps.js';

const pollEveryMs = 1_000;

/**
 * Polls the leading master each second and stores changes of what status shows of Mesos: who leads, and which
 * agents are registered. Calls `onAgents` with the agents of this master when they changed, and when the
 * master does not respond; the subscription notices when it is gone. Ends with the signal.
 *
 * @throws PerijoveError SCHEDULER_REPLACED
 */
export async function watchMesos(
  { spec, store, dial, credential }: SchedulerDeps,
  master: MasterAddress,
  stored: MesosFacts | undefined,
  onAgents: (registered: Observation<ReadonlySet<string>>) => void,
  signal: AbortSignal,
): Promise<void> {
  let last = stored;
  let reported: string | undefined;
  while (!signal.aborted) {
    try {
      const options = { signal, ...(credential && { credential }) };
      const answer = await masterAgents(await dial(master), options);
      const registered = registeredHosts(spec, answer);
      const names = [...registered].sort().join(' ');
      if (reported !== names) onAgents(known(registered));
      reported = names;
      const observed = factsOf(spec, master, answer, last);
      if (!isSame(observed, last)) await store.storeMesos(observed);
      last = observed;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof PerijoveError) || error.code === 'SCHEDULER_REPLACED') throw error;
      if (reported !== undefined) onAgents(notKnown(messageOf(error)));
      reported = undefined;
    }
    await pause(pollEveryMs, signal);
  }
}

/** Hosts of the spec whose agents are registered and active. */
function registeredHosts(spec: ClusterSpec, { agents }: Pick<MasterAgents, 'agents'>): Set<string> {
  return new Set(
    agents
      .filter((agent) => agent.active)
      .flatMap(
        ({ hostname, address: ip, port, attributes }) =>
          hostOfAgent(spec, { hostname, address: { ip, port }, attributes })?.name ?? [],
      ),
  );
}

/** While a new leader still waits for agents, a missing agent keeps its last state. */
export function factsOf(
  spec: ClusterSpec,
  master: MasterAddress,
  { agents, recoveredAgents }: MasterAgents,
  last: MesosFacts | undefined,
): MesosFacts {
  const active = registeredHosts(spec, { agents });
  const presence = hostsWithRole(spec, 'agent').map((host): [string, AgentPresence] => {
    if (active.has(host.name)) return [host.name, 'here'];
    return [host.name, recoveredAgents > 0 ? (last?.agents[host.name] ?? 'away') : 'away'];
  });
  return {
    leader: masterAt(spec, master)?.name ?? `${master.host}:${master.port}`,
    agents: Object.fromEntries(presence),
  };
}

function isSame(a: MesosFacts, b: MesosFacts | undefined): boolean {
  return (
    a.leader === b?.leader &&
    Object.keys(a.agents).length === Object.keys(b.agents).length &&
    Object.entries(a.agents).every(([host, presence]) => b.agents[host] === presence)
  );
}
