import { setTimeout as sleep } from 'node:timers/promises';
import { verdict as findVerdict, type Finding, type Probe } from '../etcd/verdict.js';
import { nodeNames, type ClusterSpec } from '../cluster/spec.js';
import { reasonOf } from '../net/abortable.js';
import { scope } from '../net/scope.js';
import type { KeeperAccess } from './access.js';
import { notice, type Known, type WatchEvent } from './decide.js';
import { drifts, type NodeView, type ProxyView } from './drift.js';
import { observeNode, observeProxy, type ObserveOptions } from './observe.js';
import { wantedFor, type Placement, type Wanted } from './wanted.js';

export interface WatchInput {
  readonly spec: ClusterSpec;
  readonly generation: number;
  readonly known: Known;
}

const probeEveryMs = 200;
/** During an election, for at most `hurryMs`. */
const probeSoonMs = 50;
const hurryMs = 5_000;
const observeEveryMs = 1_000;
const observeDeadlineMs = 1_000;
const placementEveryMs = 5_000;
/** On a busy machine, one late answer is not an event; this many in a row are. */
const silentAfter = 3;
const liveSettledMs = 2_000;

/**
 * Watches until `notice` returns an event, and resolves to it. Polls every etcd member each 200 ms over a
 * persistent connection, and every node and proxy each second. Rejects only with the signal's reason.
 * `onNode` is called with each observation of a node.
 */
export async function watch(
  access: KeeperAccess,
  { spec, generation, known }: WatchInput,
  signal: AbortSignal,
  onNode: (name: string, view: NodeView) => void = () => undefined,
): Promise<WatchEvent> {
  signal.throwIfAborted();
  const run = scope(signal);
  const placement = await access.placement();
  try {
    return await new Promise<WatchEvent>((resolve, reject) => {
      run.signal.addEventListener('abort', () => reject(reasonOf(run.signal)), { once: true });
      new Watch(access, spec, generation, known, placement, run.signal, resolve, onNode).start(reject);
    });
  } finally {
    run.abort();
  }
}

class Watch {
  /** Monotonic clock for all but displayed times: setting the clock back must not delay anything. */
  readonly #startedAt = performance.now();
  readonly #members: readonly string[];
  #wanted: Wanted | undefined;
  readonly #probes = new Map<string, Probe>();
  readonly #nodes: Record<string, NodeView> = {};
  readonly #proxies: Record<string, ProxyView> = {};
  readonly #silences = new Map<string, number>();
  #noneSince: number | undefined;
  #confirmedAt: string | undefined;
  #live: { readonly key: string; readonly since: number } | undefined;

  constructor(
    private readonly access: KeeperAccess,
    private readonly spec: ClusterSpec,
    private readonly generation: number,
    private readonly known: Known,
    placement: Placement,
    private readonly signal: AbortSignal,
    private readonly report: (event: WatchEvent) => void,
    private readonly onNode: (name: string, view: NodeView) => void,
  ) {
    this.#wanted = known.verdict && wantedFor(spec, generation, known.verdict, placement);
    this.#members = nodeNames(spec);
  }

  get #observeOptions(): ObserveOptions {
    return { timeoutMs: observeDeadlineMs, signal: this.signal };
  }

  start(fail: (error: unknown) => void): void {
    const loops = [
      ...this.#members.map((name) =>
        this.#every(
          () => this.#pace(),
          () => this.#probe(name),
        ),
      ),
      ...(this.#wanted?.nodes ?? []).map((name) =>
        this.#every(
          () => observeEveryMs,
          async () => {
            const view = await observeNode(this.access, name, this.#observeOptions);
            this.#saw(this.#nodes, name, view);
            this.onNode(name, view);
          },
        ),
      ),
      ...(this.#wanted?.proxies ?? []).map((host) =>
        this.#every(
          () => observeEveryMs,
          async () =>
            this.#saw(this.#proxies, host, await observeProxy(this.access, host, this.#observeOptions)),
        ),
      ),
    ];
    if (this.#wanted && this.spec.proxy.topology === 'owner') {
      loops.push(
        this.#every(
          () => placementEveryMs,
          () => this.#place(),
        ),
      );
    }
    for (const loop of loops) loop.catch(fail);
  }

  async #every(pace: () => number, ask: () => Promise<void>): Promise<void> {
    while (!this.signal.aborted) {
      const startedAt = performance.now();
      await ask();
      if (this.signal.aborted) return;
      this.#consider();
      const rest = Math.max(0, startedAt + pace() - performance.now());
      await sleep(rest, undefined, { signal: this.signal }).catch(() => undefined);
    }
  }

  #pace(): number {
    const electing = this.#noneSince !== undefined && performance.now() - this.#noneSince < hurryMs;
    return electing && this.known.verdict ? probeSoonMs : probeEveryMs;
  }

  async #probe(name: string): Promise<void> {
    this.#probes.set(name, await this.access.member(name));
  }

  /** Nodes relaunched on other hosts have other ways. */
  async #place(): Promise<void> {
    const { verdict } = this.known;
    const placement = await this.access.placement();
    this.#wanted = verdict && wantedFor(this.spec, this.generation, verdict, placement);
  }

  #saw<V extends { readonly ok: boolean }>(views: Record<string, V>, name: string, view: V): void {
    const silences = view.ok ? 0 : (this.#silences.get(name) ?? 0) + 1;
    this.#silences.set(name, silences);
    if (view.ok || silences >= silentAfter) views[name] = view;
  }

  #consider(): void {
    const probes = this.#members.flatMap((name) => this.#probes.get(name) ?? []);
    if (probes.length < this.#members.length) return;
    const now = performance.now();
    const finding = findVerdict(probes, this.known.verdict);
    this.#noneSince = finding.kind === 'none' ? (this.#noneSince ?? now) : undefined;
    this.#follow(finding, now);
    const event = notice(this.known, {
      finding,
      ...(this.#live &&
        now - this.#live.since >= liveSettledMs && { settledLive: this.#live.key.split(',') }),
      ...(this.#wanted && {
        drifts: drifts(this.#wanted, { nodes: this.#nodes, proxies: this.#proxies }, this.known.drifts),
      }),
      watchedMs: now - this.#startedAt,
      noneForMs: this.#noneSince === undefined ? 0 : now - this.#noneSince,
      ...(this.#confirmedAt !== undefined && { confirmedAt: this.#confirmedAt }),
      now: new Date().toISOString(),
    });
    if (event) this.report(event);
  }

  /** Records when the known verdict was last confirmed, and since when the same members respond. */
  #follow(finding: Finding, now: number): void {
    if (finding.kind === 'none') return;
    const { leader, term, live } = finding.verdict;
    if (leader === this.known.verdict?.leader && term === this.known.verdict.term) {
      this.#confirmedAt = new Date().toISOString();
    }
    const key = live.join(',');
    if (this.#live?.key !== key) this.#live = { key, since: now };
  }
}
