import type { Log } from '../log.js';
import type { Cluster } from './cluster.js';
import type { Registry, RegistryAgent, RegistryContent } from './registry.js';

/** Keeps the registry in sync with the cluster's agents. A master that cannot write it exits. */
export class Registrar {
  readonly #cluster: Cluster;
  readonly #registry: Registry;
  readonly #log: Log;
  #last: Promise<unknown> = Promise.resolve();

  constructor(cluster: Cluster, registry: Registry, log: Log) {
    this.#cluster = cluster;
    this.#registry = registry;
    this.#log = log;
  }

  /** Runs a change of the agents, including the registry write, after all earlier changes. */
  async inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(change);
    this.#last = turn.catch(this.#exit);
    return await turn;
  }

  /** @param admitted an agent not yet listed in the cluster */
  async store(admitted?: RegistryAgent): Promise<void> {
    await this.#registry.store(registryContent(this.#cluster, admitted));
  }

  readonly #exit = (error: unknown): void => {
    this.#log.error(`Failed to update the registry: ${String(error)}`);
    process.exit(1);
  };
}

function registryContent(cluster: Cluster, admitted: RegistryAgent | undefined): RegistryContent {
  return {
    agents: [
      ...(admitted ? [admitted] : []),
      ...[...cluster.agents.values()].map(({ id, info }) => ({
        id,
        hostname: info.hostname,
        ip: info.ip,
        port: info.port,
      })),
      ...cluster.recoveredAgents.values(),
    ],
    unreachable: [...cluster.unreachableAgents].map(([id, { hostname, at }]) => ({ id, hostname, at })),
    windows: cluster.windows,
  };
}
