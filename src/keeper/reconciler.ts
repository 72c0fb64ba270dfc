import { setTimeout as sleep } from 'node:timers/promises';
import { PerijoveError } from '../errors/error.js';
import { raftTermOf } from '../etcd/term.js';
import type { JupyterStatus } from '../node/api.js';
import type { ClusterSpec } from '../cluster/spec.js';
import type { KeeperAccess } from './access.js';
import type { KeeperChange, ReconcileResult } from './decide.js';
import { drifts, isElsewhere, serves, type NodeView, type View } from './drift.js';
import { look, observeNode } from './observe.js';
import type { Verdict } from './state.js';
import { wantedFor, type Wanted } from './wanted.js';

export interface ReconcileInput {
  readonly spec: ClusterSpec;
  readonly generation: number;
  readonly verdict: Verdict;
}

/** Time limits of a reconcile. */
export const patience = {
  /** A cold start takes 3–4 s on an idle machine; a busy one may need several times that. */
  jupyterMs: 40_000,
  /** The leader's node may be restarting its runtime; after a longer silence, the watch decides again. */
  leaderSilentMs: 3_000,
  /** Between two orders to the leader, if the first was not carried out. */
  againMs: 200,
} as const;

/** More than the watch allows: nodes found silent are left out of the rest. */
const observeDeadlineMs = 2_000;
const jupyterWaitMs = 1_000;
const stopWaitMs = 5_000;
const routeDeadlineMs = 1_500;
const hostsDeadlineMs = 2_000;

/**
 * Reconciles the cluster with one verdict: the leader serves (its Jupyter ready, its gate open), then the
 * route on all proxies at once, then the hosts files of all nodes, then no other node serves. So users lose
 * the old Jupyter only when every responding proxy routes to the new one.
 *
 * Idempotent. Unreachable nodes and proxies are reported and do not delay the rest. While Jupyter does not
 * respond on the leader, routes stay and no other Jupyter is stopped. If a node or proxy has a higher
 * generation, nothing further is done and `stale` is that generation.
 */
export async function reconcile(
  access: KeeperAccess,
  { spec, generation, verdict }: ReconcileInput,
  signal?: AbortSignal,
  waits: Readonly<Record<keyof typeof patience, number>> = patience,
): Promise<ReconcileResult> {
  const wanted = wantedFor(spec, generation, verdict, await access.placement());
  return new Reconcile(access, wanted, verdict, signal, waits).run();
}

class Reconcile {
  readonly #changes: KeeperChange[] = [];
  readonly #silent = new Set<string>();
  /** The leader's node before any change. */
  #before: NodeView = { ok: false, reason: 'not asked yet' };
  #stale: number | undefined;
  #superseded = false;
  #routedAt: string | undefined;
  readonly #tookMs = { jupyter: 0, routes: 0, hosts: 0, others: 0, total: 0 };

  constructor(
    private readonly access: KeeperAccess,
    private readonly wanted: Wanted,
    private readonly verdict: Verdict,
    private readonly signal: AbortSignal | undefined,
    private readonly waits: Readonly<Record<keyof typeof patience, number>>,
  ) {}

  async run(): Promise<ReconcileResult> {
    const startedAt = Date.now();
    const { leader, nodes } = this.wanted;
    const others = nodes.filter((name) => name !== leader);
    // Queried now, needed later: a dead node costs its deadline while Jupyter starts.
    const views = Promise.all(others.map(async (name) => [name, await this.#observeNode(name)] as const));

    const ready = await this.#timed('jupyter', () => this.#jupyterUp());
    if (ready && this.#goesOn()) await this.#timed('routes', () => this.#setRoutes());
    const seen = new Map([...(await views), [leader, this.#before] as const]);
    if (this.#goesOn()) await this.#timed('hosts', () => this.#writeHosts(seen));
    if (ready && this.#goesOn()) await this.#timed('others', () => this.#othersDown(seen));

    const view = await this.#observeAgain();
    const left = drifts(this.wanted, view);
    this.signal?.throwIfAborted();
    this.#tookMs.total = Date.now() - startedAt;
    const down = left.some(({ kind }) => kind === 'jupyter-down');
    // A late answer to the order says nothing about what was observed since.
    const silent = left.some(({ kind, subject }) => kind === 'node-silent' && subject === leader);
    const isServed = !down && (ready || !silent);
    return {
      generation: this.wanted.generation,
      changes: this.#changes,
      ...(isServed && { jupyter: leader }),
      routes: Object.fromEntries(
        Object.entries(view.proxies).flatMap(([host, seenNow]) =>
          seenNow.ok && seenNow.route
            ? [
                [
                  host,
                  { target: seenNow.route.serving.target, generation: seenNow.route.generation },
                ] as const,
              ]
            : [],
        ),
      ),
      unreachable: left.filter(({ kind }) => kind.endsWith('-silent')).map(({ subject }) => subject),
      drifts: left,
      ...(this.#stale !== undefined && { stale: this.#stale }),
      superseded: this.#superseded,
      ...(this.#routedAt !== undefined && { routedAt: this.#routedAt }),
      tookMs: this.#tookMs,
    };
  }

  #goesOn(): boolean {
    this.signal?.throwIfAborted();
    return this.#stale === undefined && !this.#superseded;
  }

  async #timed<T>(step: 'jupyter' | 'routes' | 'hosts' | 'others', work: () => Promise<T>): Promise<T> {
    const startedAt = Date.now();
    try {
      return await work();
    } finally {
      this.#tookMs[step] = Date.now() - startedAt;
    }
  }

  async #jupyterUp(): Promise<boolean> {
    const { leader, generation, term } = this.wanted;
    const startedAt = Date.now();
    this.#before = await this.#observeNode(leader);
    const was = this.#before.ok ? this.#before.status.jupyter : undefined;
    if (was && serves(was) && was.generation === generation) return true;
    let answeredAt = startedAt;
    while (Date.now() - startedAt < this.waits.jupyterMs && this.#goesOn()) {
      try {
        const status = await this.access.node(leader, (client) =>
          client.orderJupyter(
            { generation, term, serve: true },
            { waitMs: jupyterWaitMs, ...(this.signal && { signal: this.signal }) },
          ),
        );
        answeredAt = Date.now();
        if (serves(status)) {
          if (was?.state !== 'ready') this.#changed(leader, `Jupyter started on ${leader}`);
          else if (!was.gate.open) this.#changed(leader, `gate of ${leader} opened`);
          return true;
        }
        // The reply is immediate if Jupyter stopped again instead of starting.
        if (status.state === 'stopped') await sleep(this.waits.againMs, undefined, { signal: this.signal });
      } catch (error) {
        if (await this.#foundStale(leader, error)) return false;
        if (Date.now() - answeredAt > this.waits.leaderSilentMs) {
          this.#silent.add(leader);
          return false;
        }
        await sleep(this.waits.againMs, undefined, { signal: this.signal });
      }
      await this.#checkLeadership();
    }
    return false;
  }

  /** The leader's own member is the first to know of a new leader. */
  async #checkLeadership(): Promise<void> {
    const probe = await this.access.member(this.verdict.leader);
    if (!probe.ok) return;
    const leads = probe.leader === probe.memberId;
    if (probe.term > raftTermOf(this.verdict.term) || (probe.leader !== undefined && !leads))
      this.#superseded = true;
  }

  async #setRoutes(): Promise<void> {
    await this.#each(this.wanted.proxies, async (host) => {
      const order = this.wanted.routes[host];
      if (!order) return;
      const result = await this.access.proxy(host, (client) =>
        client.setRoute(order, { timeoutMs: routeDeadlineMs, ...(this.signal && { signal: this.signal }) }),
      );
      if (result.kind === 'stale') {
        this.#noteGeneration(result.generation);
        return;
      }
      if (result.changed) this.#changed(host, `route of ${host} set to ${order.node}`);
      this.#routedAt = new Date().toISOString();
    });
  }

  async #writeHosts(seen: ReadonlyMap<string, NodeView>): Promise<void> {
    const { generation, hosts, hostsDigest, leader, nodes } = this.wanted;
    const silent = nodes.filter((name) => name !== leader && seen.get(name)?.ok === false);
    for (const name of silent) this.#silent.add(name);
    await this.#each(
      nodes.filter((name) => !this.#silent.has(name)),
      async (name) => {
        const view = seen.get(name);
        const had = view?.ok === true ? view.status.hosts : undefined;
        if (had?.generation === generation && had.digest === hostsDigest) return;
        await this.access.node(name, (client) =>
          client.orderHosts(
            { generation, entries: [...hosts] },
            { timeoutMs: hostsDeadlineMs, ...(this.signal && { signal: this.signal }) },
          ),
        );
        if (had?.digest !== hostsDigest)
          this.#changed(name, `hosts file of ${name} written`, { routine: true });
      },
    );
  }

  async #othersDown(seen: ReadonlyMap<string, NodeView>): Promise<void> {
    const { generation, term } = this.wanted;
    const others = this.wanted.nodes.filter((name) => name !== this.wanted.leader);
    await this.#each(others, async (name) => {
      const view = seen.get(name);
      if (!view?.ok || this.#silent.has(name)) return;
      const was = view.status.jupyter;
      if (!isElsewhere(this.wanted, was) && was.state !== 'stopping') return;
      const status: JupyterStatus = await this.access.node(name, (client) =>
        client.orderJupyter(
          { generation, term, serve: false },
          { waitMs: stopWaitMs, ...(this.signal && { signal: this.signal }) },
        ),
      );
      if (status.state === 'stopped' && was.state !== 'stopped')
        this.#changed(name, `Jupyter stopped on ${name}`);
      else if (was.gate.open && !status.gate.open) this.#changed(name, `gate of ${name} shut`);
    });
  }

  /** Runs in parallel; nodes that do not respond are recorded and do not delay the rest. */
  async #each(names: readonly string[], act: (name: string) => Promise<void>): Promise<void> {
    await Promise.all(
      names.map(async (name) => {
        try {
          await act(name);
        } catch (error) {
          this.signal?.throwIfAborted();
          if (!(await this.#foundStale(name, error))) this.#silent.add(name);
        }
      }),
    );
    this.#changes.sort((a, b) => (a.subject < b.subject ? -1 : a.subject > b.subject ? 1 : 0));
  }

  async #foundStale(name: string, error: unknown): Promise<boolean> {
    this.signal?.throwIfAborted();
    if (!(error instanceof PerijoveError)) throw error;
    if (error.code !== 'STALE_GENERATION') return false;
    const view = await this.#observeNode(name);
    if (!view.ok) return false;
    this.#noteGeneration(view.status.generation);
    return true;
  }

  #noteGeneration(generation: number): void {
    if (generation > this.wanted.generation) this.#stale = Math.max(this.#stale ?? 0, generation);
  }

  #changed(subject: string, what: string, more: Pick<KeeperChange, 'routine'> = {}): void {
    this.#changes.push({ subject, what, ...more });
  }

  #observeNode(name: string): Promise<NodeView> {
    return observeNode(this.access, name, { timeoutMs: observeDeadlineMs, signal: this.signal });
  }

  /** Observes the result; does not wait again for silent nodes. */
  async #observeAgain(): Promise<View> {
    const answers = (name: string) => !this.#silent.has(name);
    const { nodes, proxies } = this.wanted;
    const view = await look(
      this.access,
      { nodes: nodes.filter(answers), proxies: proxies.filter(answers) },
      { timeoutMs: observeDeadlineMs, signal: this.signal },
    );
    const silent = (names: readonly string[]) =>
      Object.fromEntries(
        names
          .filter((name) => this.#silent.has(name))
          .map((name) => [name, { ok: false, reason: 'silent' } as const]),
      );
    return {
      nodes: { ...view.nodes, ...silent(nodes) },
      proxies: { ...view.proxies, ...silent(proxies) },
    };
  }
}
