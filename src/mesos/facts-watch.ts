import { setTimeout as delay } from 'node:timers/promises';
import { PerijoveError } from '../errors/error.js';
import { hostsWithRole, type ClusterSpec } from '../spec/cluster.js';
import type { AgentPresence, MesosFacts } from './framework-events.js';
import { hostOfAgent } from './launch.js';
import type { MasterAddress } from './master-http.js';
import { masterAgents, type MasterAgents } from './operator-client.js';
import type { SchedulerDeps } from './scheduler-deps.js';

const lookEveryMs = 1_000;

/**
 * Looks at the leading master each second, and stores what people are told of Mesos when it is news: who leads,
 * and which agents are there; `sees` is told as well. A master that does not answer is passed over; who notices that
 * is the subscription. Ends with the signal.
 *
 * @throws PerijoveError SCHEDULER_REPLACED
 */
export async function watchMesos(
  { spec, store, dial, credential }: SchedulerDeps,
  master: MasterAddress,
  stored: MesosFacts | undefined,
  sees: (facts: MesosFacts) => void,
  signal: AbortSignal,
): Promise<void> {
  let last = stored;
  while (!signal.aborted) {
    try {
      const options = { signal, ...(credential && { credential }) };
      const seen = factsOf(spec, master, await masterAgents(await dial(master), options), last);
      if (!isSame(seen, last)) {
        sees(seen);
        await store.storeMesos(seen);
      }
      last = seen;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof PerijoveError) || error.code === 'SCHEDULER_REPLACED') throw error;
    }
    await delay(lookEveryMs, undefined, { signal }).catch(() => undefined);
  }
}

/** While a new leader still waits for agents, one that it does not have is what it was. */
export function factsOf(
  spec: ClusterSpec,
  master: MasterAddress,
  { agents, recoveredAgents }: MasterAgents,
  last: MesosFacts | undefined,
): MesosFacts {
  const active = new Set(
    agents
      .filter((agent) => agent.active)
      .map(({ hostname, address: ip, port, attributes }) =>
        hostOfAgent(spec, { hostname, address: { ip, port }, attributes }),
      ),
  );
  const presence = hostsWithRole(spec, 'agent').map((host): [string, AgentPresence] => {
    if (active.has(host)) return [host.name, 'here'];
    return [host.name, recoveredAgents > 0 ? (last?.agents[host.name] ?? 'away') : 'away'];
  });
  const leader = spec.hosts.find(
    ({ address, ports }) => address === master.host && ports.master === master.port,
  );
  return { leader: leader?.name ?? `${master.host}:${master.port}`, agents: Object.fromEntries(presence) };
}

function isSame(a: MesosFacts, b: MesosFacts | undefined): boolean {
  return (
    a.leader === b?.leader &&
    Object.keys(a.agents).length === Object.keys(b.agents).length &&
    Object.entries(a.agents).every(([host, presence]) => b.agents[host] === presence)
  );
}
