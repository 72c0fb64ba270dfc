/** Observes a cluster for the status page: what it is, and what it remembers. */
import { nodeAddress, nodeNames, type ClusterSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import { observeCluster, type EventfulObservation } from '../status/observe.js';
import { connectClient, isAway, type TemporalClient, type TemporalSettings } from '../temporal/connect.js';
import { workflowIds } from '../temporal/contract.js';
import { askWithin } from '../temporal/running.js';
import { readHistory, type History } from './history.js';
import { silencesOf, type Silence } from './silences.js';
import { momentsOf, type Moment } from './timeline.js';
import type { ClusterView, ViewHost } from './view.js';

export interface ObserverOptions {
  /** As it is at this moment. */
  readonly spec: () => Promise<ClusterSpec>;
  readonly pool: SshPool;
  readonly temporal: TemporalSettings;
  /** Of its Web UI, at the namespace; null if there is none. */
  readonly temporalUi: string | null;
  readonly version: string;
}

const connectMs = 3_000;
/** Runs begin and end seldom, and their list is the one thing here that Temporal must search for. */
const historyEveryMs = 5_000;

/** Keeps its connections from one observation to the next. */
export class Observer {
  #temporal: TemporalClient | undefined;
  #history: History & { readonly at: number } = { deployments: [], drills: [], at: 0 };
  #moments: readonly Moment[] = [];
  #silences: readonly Silence[] = [];

  constructor(private readonly options: ObserverOptions) {}

  /** @throws PerijoveError TEMPORAL_REFUSED, TEMPORAL_NAMESPACE_UNKNOWN, TEMPORAL_PROFILE_INVALID */
  async observe(): Promise<ClusterView> {
    const { pool, temporalUi, version } = this.options;
    const spec = await this.options.spec();
    const { client, slow } = await this.#connect();
    const [observation] = await Promise.all([
      observeCluster({ ...(client && { client: client.client }), pool, slow }, spec),
      client && this.#readHistory(client, spec.name),
    ]);
    const { status, reasons } = observation;
    const hosts = spec.hosts.map(({ name }) => name);
    const at = new Date().toISOString();
    this.#silences = silencesOf(status, hosts, { before: this.#silences, at });
    // A connection that gets no answer may have broken for good.
    if (this.#silences.some(({ of }) => of.kind === 'temporal')) await this.#disconnect();
    return {
      ...{ status, reasons, hosts: spec.hosts.map(viewHost), moments: this.#remember(observation) },
      nodes: nodeNames(spec).map((name, index) => ({ name, address: nodeAddress(spec, index) })),
      ...{ silences: this.#silences, links: { temporal: temporalUi }, version },
    };
  }

  /** Changes with each step of the keeper and of the framework; tells nothing of what they do not notice. */
  async pulse(): Promise<string> {
    const { client } = this.#temporal ?? {};
    if (client === undefined) return 'none';
    const { name } = await this.options.spec();
    const { namespace } = client.options;
    const steps = [workflowIds.keeper(name), workflowIds.framework(name)].map(async (id) => {
      // Of the service itself: the client would decode what the memo holds.
      const { workflowExecutionInfo: info } = await askWithin(client, connectMs, () =>
        client.workflowService.describeWorkflowExecution({ namespace, execution: { workflowId: id } }),
      );
      return `${info?.execution?.runId} ${info?.historyLength?.toString()}`;
    });
    return (await Promise.all(steps)).join(' ');
  }

  async close(): Promise<void> {
    await this.#disconnect();
  }

  async #connect(): Promise<{ readonly client?: TemporalClient; readonly slow: boolean }> {
    try {
      this.#temporal ??= await connectClient({ ...this.options.temporal, deadlineMs: connectMs });
      return { client: this.#temporal, slow: false };
    } catch (error) {
      if (isAway(error)) return { slow: error.code === 'TEMPORAL_SLOW' };
      throw error;
    }
  }

  async #disconnect(): Promise<void> {
    await this.#temporal?.close();
    this.#temporal = undefined;
  }

  /** Keeps what was read last while the server does not answer. */
  async #readHistory({ client }: TemporalClient, cluster: string): Promise<void> {
    const now = Date.now();
    if (now - this.#history.at < historyEveryMs) return;
    const history = await readHistory(client, cluster).catch(() => undefined);
    if (history !== undefined) this.#history = { ...history, at: now };
  }

  /** While the workflows are unknown, what they remembered last stays. */
  #remember({ status, events }: EventfulObservation): readonly Moment[] {
    const isUnknown = [status.workflows.keeper, status.workflows.framework].every(
      (state) => state === 'unknown',
    );
    if (isUnknown) return this.#moments;
    this.#moments = momentsOf({ incidents: status.incidents, ...events, ...this.#history });
    return this.#moments;
  }
}

function viewHost({ name, address, roles, ports }: ClusterSpec['hosts'][number]): ViewHost {
  return {
    ...{ name, address, roles, port: ports.proxy },
    ...(roles.includes('master') && { mesosUrl: `http://${address}:${ports.master}/` }),
  };
}
