import type { MasterInfo } from '../election.js';
import type { Log } from '../log.js';
import { AgentObserver } from './agent-observer.js';
import { AgentRemoval } from './agent-removal.js';
import { Agents } from './agents.js';
import { Cluster } from './cluster.js';
import type { MasterContext, MasterSettings } from './context.js';
import { Counters } from './counters.js';
import { Frameworks } from './frameworks.js';
import { Kills } from './kills.js';
import { Launches } from './launches.js';
import { Maintenance } from './maintenance.js';
import { Offers } from './offers.js';
import { Registrar } from './registrar.js';
import type { Registry, RegistryContent } from './registry.js';
import { SchedulerCalls } from './scheduler-calls.js';
import { StatusUpdates } from './status-updates.js';
import { TaskRecovery } from './task-recovery.js';
import { Tasks } from './tasks.js';

/**
 * The leading master: the cluster state and the parts that change it. The servers pass in streams and links.
 * A process creates it when elected and exits when it loses leadership.
 */
export class Master {
  readonly cluster = new Cluster();
  readonly counters = new Counters();
  /** Registration of agents. */
  readonly agents: Agents;
  /** Health checks of agents. */
  readonly observer: AgentObserver;
  readonly updates: StatusUpdates;
  readonly frameworks: Frameworks;
  readonly calls: SchedulerCalls;
  readonly settings: MasterSettings;
  /** The schedule of maintenance. */
  readonly maintenance: Maintenance;
  readonly #offers: Offers;
  readonly #log: Log;

  constructor(info: MasterInfo, settings: MasterSettings, registry: Registry, log: Log) {
    const { cluster, counters } = this;
    const context: MasterContext = { info, settings, cluster, counters, log };
    const registrar = new Registrar(cluster, registry, log);
    const offers = new Offers(context);
    const tasks = new Tasks(context, offers);
    const kills = new Kills(context);
    const launches = new Launches(context, offers);
    const frameworks = new Frameworks(context, offers, tasks);
    const updates = new StatusUpdates(context, offers, tasks, frameworks);
    const removal = new AgentRemoval(context, registrar, offers, tasks);
    const recovery = new TaskRecovery(context, tasks, kills, frameworks);
    this.maintenance = new Maintenance(context, registrar, offers);
    this.agents = new Agents(context, registrar, offers, removal, recovery);
    this.observer = new AgentObserver(context, registrar, removal);
    this.updates = updates;
    this.frameworks = frameworks;
    this.calls = new SchedulerCalls(context, {
      ...{ offers, launches, kills, updates, frameworks },
      maintenance: this.maintenance,
    });
    this.settings = settings;
    this.#offers = offers;
    this.#log = log;
  }

  /** Starts from the registry of the earlier leader. */
  start({ agents, unreachable, windows }: RegistryContent): void {
    const { recoveredAgents, unreachableAgents } = this.cluster;
    for (const { id, hostname, at } of unreachable) unreachableAgents.set(id, { hostname, at });
    this.cluster.windows = windows;
    for (const agent of agents) recoveredAgents.set(agent.id, agent);
    this.#log.info(`Recovered ${agents.length} agents from the registry`);
    this.#offers.start();
    this.maintenance.start();
    this.observer.start();
  }
}
