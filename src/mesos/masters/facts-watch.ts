import { messageOf, PerijoveError } from '../../errors/error.js';
import { known, notKnown, type Observation } from '../../hosts/observation.js';
import { hostsWithRole, type ClusterSpec } from '../../cluster/spec.js';
import { pause } from '../../net/pause.js';
import type { AgentPresence, MesosFacts } from '../scheduler/framework-events.js';
import { hostOfAgent } from '../scheduler/launch.js';
import { masterAt, type MasterAddress } from './http.js';
import { masterAgents, type MasterAgents } from './operator-client.js';
import type { SchedulerDeps } from '../scheduler/deps.js';

const lookEveryMs = 1_000;

/**
 * Looks at the leading master each second, and stores what changed of what status shows of Mesos: who leads, and which
 * agents are registered. `sees` is called with the agents of this master when they changed, and when the master does not
 * answer; the subscription notices when it is gone. Ends with the signal.
 *
 * @throws PerijoveError SCHEDULER_REPLACED
 */
export async function watchMesos(
  { spec, store, dial, credential }: SchedulerDeps,
  master: MasterAddress,
  stored: MesosFacts | undefined,
  sees: (here: Observation<ReadonlySet<string>>) => void,
  signal: AbortSignal,
): Promise<void> {
  let last = stored;
  let told: string | undefined;
  while (!signal.aborted) {
    try {
      const options = { signal, ...(credential && { credential }) };
      const answer = await masterAgents(await dial(master), options);
      const here = hostsHere(spec, answer);
      const names = [...here].sort().join(' ');
      if (told !== names) sees(known(here));
      told = names;
      const seen = factsOf(spec, master, answer, last);
      if (!isSame(seen, last)) await store.storeMesos(seen);
      last = seen;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof PerijoveError) || error.code === 'SCHEDULER_REPLACED') throw error;
      if (told !== undefined) sees(notKnown(messageOf(error)));
      told = undefined;
    }
    await pause(lookEveryMs, signal);
  }
}

/** Hosts of the spec whose agents are registered and active. */
function hostsHere(spec: ClusterSpec, { agents }: Pick<MasterAgents, 'agents'>): Set<string> {
  return new Set(
    agents
      .filter((agent) => agent.active)
      .flatMap(
        ({ hostname, address: ip, port, attributes }) =>
          hostOfAgent(spec, { hostname, address: { ip, port }, attributes })?.name ?? [],
      ),
  );
}

/** While a new leader still waits for agents, one that it does not have is what it was. */
export function factsOf(
  spec: ClusterSpec,
  master: MasterAddress,
  { agents, recoveredAgents }: MasterAgents,
  last: MesosFacts | undefined,
): MesosFacts {
  const active = hostsHere(spec, { agents });
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
