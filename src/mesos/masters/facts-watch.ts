import { messageOf, PerijoveError } from '../../errors/error.js';
import { known, notKnown, type Observation } from '../../hosts/observation.js';
import { hostsWithRole, type ClusterSpec } from '../../cluster/spec.js';
import { pause } from '../../net/pause.js';
import type { AgentPresence, MesosFacts } from '../scheduler/framework-events.js';
import { hostOfAgent } from '../scheduler/launch.js';
import { masterAt, type MasterAddress } from './http.js';
import { maintenanceSchedule, masterAgents, type MasterAgents } from './operator-client.js';
import type { MaintenanceWindow } from '../scheduler/maintenance.js';
import type { SchedulerDeps } from '../scheduler/deps.js';

const pollEveryMs = 1_000;
/** Windows of maintenance are scheduled hours ahead. */
const scheduleEveryMs = 5_000;

/** Receives the observations of `watchMesos`. */
export interface MesosListener {
  /** The hosts whose agents this master has, when they changed, and when the master does not respond. */
  readonly agents: (registered: Observation<ReadonlySet<string>>) => void;
  /** The schedule of maintenance, when it changed. One that cannot be read changes nothing. */
  readonly windows: (windows: readonly MaintenanceWindow[]) => void;
}

/**
 * Polls the leading master each second and stores changes of what status shows of Mesos: who leads, and which
 * agents are registered. That the master is gone the subscription notices. Ends with the signal.
 *
 * @throws PerijoveError SCHEDULER_REPLACED
 */
export async function watchMesos(
  { spec, store, dial, credential, logger }: SchedulerDeps,
  master: MasterAddress,
  stored: MesosFacts | undefined,
  listener: MesosListener,
  signal: AbortSignal,
): Promise<void> {
  let last = stored;
  let reported: string | undefined;
  const schedule = new ScheduleWatch(listener.windows, (reason) =>
    logger.warn({ reason }, 'the schedule of maintenance cannot be read'),
  );
  while (!signal.aborted) {
    try {
      const options = { signal, ...(credential && { credential }) };
      const endpoint = await dial(master);
      const answer = await masterAgents(endpoint, options);
      await schedule.look(() => maintenanceSchedule(endpoint, options));
      const registered = registeredHosts(spec, answer);
      const names = [...registered].sort().join(' ');
      if (reported !== names) listener.agents(known(registered));
      reported = names;
      const observed = factsOf(spec, master, answer, last);
      if (!isSame(observed, last)) await store.storeMesos(observed);
      last = observed;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof PerijoveError) || error.code === 'SCHEDULER_REPLACED') throw error;
      if (reported !== undefined) listener.agents(notKnown(messageOf(error)));
      reported = undefined;
    }
    await pause(pollEveryMs, signal);
  }
}

class ScheduleWatch {
  #askedAt = -Infinity;
  #last = '[]';
  #failed = false;

  constructor(
    private readonly changed: MesosListener['windows'],
    private readonly failed: (reason: string) => void,
  ) {}

  /** Asks now and then. Never rejects: who may not read the schedule may still read the agents. */
  async look(ask: () => Promise<readonly MaintenanceWindow[]>): Promise<void> {
    if (performance.now() - this.#askedAt < scheduleEveryMs) return;
    this.#askedAt = performance.now();
    try {
      const windows = await ask();
      this.#failed = false;
      const text = JSON.stringify(windows);
      if (text === this.#last) return;
      this.#last = text;
      this.changed(windows);
    } catch (error) {
      if (!this.#failed) this.failed(messageOf(error));
      this.#failed = true;
    }
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
