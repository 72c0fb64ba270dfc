import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { routeOrderSchema, type ProxyHealth, type Route, type RouteOrder } from '../api.js';
import { afterPolls, afterOrder, passable, settled, type Accepted, type GateView } from './decide.js';
import { GateWatch, lives, type Pace } from './gate.js';
import { Upstream } from './upstream.js';
import type { Waiting } from './waiting.js';
import { authorityOf, nodeWay, Ways } from './ways.js';

export interface RouterOptions {
  /** This proxy's address for users: `127.0.1.1:8888`. */
  readonly self: string;
  /** Those by which proxies of this cluster prove themselves. */
  readonly secrets: readonly string[];
  readonly logger: Logger;
  /** Called with each change of the route, by an order or a reflex. */
  readonly onChange: (route: Route) => void;
}

/** For the serving gate. */
const poll: Pace = { everyMs: 100, deadlineMs: 500 };
/** For all gates, while another one may be open. */
const search: Pace = { everyMs: 30, deadlineMs: 300 };
/** After a search of `longSearchMs`: the cluster has no leader, maybe for long. */
const longSearch: Pace = { everyMs: 100, deadlineMs: 300 };
const longSearchMs = 5_000;
/** After this long without a sign of life a machine is considered dead. */
const deadAfterMs = 2_000;
const drainCheckMs = 1_000;
/** Maximum number of requests waiting for a gate; each one costs its headers and a connection. */
const maxHeld = 1_000;

const unknown: GateView = { kind: 'unknown' };

interface Current {
  readonly order: RouteOrder;
  readonly accepted: Accepted;
  /** ISO 8601: of the order and of the serving node. */
  readonly since: string;
  readonly servingSince: string;
  readonly upstream: Upstream;
}

/** A lost request that waits for the gate's reply to a later poll. */
interface Question {
  /** By `performance.now()`. */
  readonly since: number;
  settle: () => void;
}

/**
 * Routes requests to the serving node: accepts the keeper's orders, polls the gates, switches by reflex,
 * holds requests while no gate is acceptable, and drains the previous node.
 */
export class Router {
  readonly ways: Ways;
  readonly #options: RouterOptions;
  readonly #startedAt = new Date();
  #current: Current | undefined;
  /** By name and address: the serving one, and earlier ones with open connections. */
  readonly #upstreams = new Map<string, Upstream>();
  readonly #drains = new Map<Upstream, symbol>();
  #watches = new Map<string, GateWatch>();
  readonly #views = new Map<string, GateView>();
  readonly #waiters = new Set<() => void>();
  readonly #questions = new Set<Question>();
  #lostSince: Date | undefined;
  #searchingSince: number | undefined;
  /** Whether the current node's gate has been open since it was accepted. */
  #seenOpen = false;
  #reported: GateView['kind'] = 'unknown';
  /** By `performance.now()`: replies to earlier polls are void. */
  #doubtedAt = 0;

  constructor(options: RouterOptions) {
    this.#options = options;
    this.ways = new Ways(options.self, options.secrets);
  }

  get route(): Route | undefined {
    if (!this.#current) return undefined;
    const { order, accepted, since, servingSince, upstream } = this.#current;
    return { ...order, since, serving: { ...accepted, target: upstream.target, since: servingSince } };
  }

  /** @returns undefined for an order of an earlier generation, which changes nothing */
  take(order: RouteOrder): { readonly changed: boolean; readonly route: Route } | undefined {
    const before = this.#current;
    const accepted = afterOrder(before, order);
    if (accepted === undefined) return undefined;
    const { route } = this;
    if (before && route && isDeepStrictEqual(order, before.order)) return { changed: false, route };
    return { changed: true, route: this.#become(order, accepted, new Date().toISOString()) };
  }

  /** Restores the state of an earlier process. */
  restore(route: Route): void {
    const { serving, since } = route;
    const { node, term, by } = serving;
    this.#become(routeOrderSchema.parse(route), { node, term, by }, since, serving.since);
  }

  /**
   * The node for requests, now or as soon as there is one; undefined when `patienceMs` expires, the client
   * disconnects, there has been no order yet, or too many requests are waiting.
   */
  admit(patienceMs: number, client: NodeJS.EventEmitter): Promise<Upstream | undefined> {
    if (!this.#current || this.#open) return Promise.resolve(this.#current?.upstream);
    if (this.#waiters.size >= maxHeld) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const settle = (upstream?: Upstream): void => {
        clearTimeout(timer);
        this.#waiters.delete(release);
        client.off('close', leave);
        resolve(upstream);
      };
      const release = (): void => settle(this.#current?.upstream);
      const leave = (): void => settle();
      const timer = setTimeout(settle, patienceMs);
      this.#waiters.add(release);
      client.once('close', leave);
    });
  }

  /** The node's gate is unreachable: nothing goes there until it has replied again. */
  doubt(upstream: Upstream): void {
    if (!this.#current || upstream !== this.#current.upstream) return;
    this.#doubtedAt = performance.now();
    const { node } = this.#current.accepted;
    this.#views.set(node, unknown);
    this.#watches.get(node)?.hurry();
    this.#refresh();
  }

  /**
   * Polls the node's gate for a request that was lost behind it, because Jupyter rejected it or because the node died.
   * No other request waits. Resolves when the gate has replied, another node serves, the time is over, or the client
   * has gone; to whether the node still serves with an open gate.
   */
  confirm(upstream: Upstream, patienceMs: number, client: NodeJS.EventEmitter): Promise<boolean> {
    if (!this.serves(upstream)) return Promise.resolve(false);
    return new Promise((resolve) => {
      const question: Question = { since: performance.now(), settle: () => undefined };
      question.settle = () => {
        clearTimeout(timer);
        this.#questions.delete(question);
        client.off('close', question.settle);
        resolve(this.serves(upstream) && this.#open);
      };
      const timer = setTimeout(question.settle, patienceMs);
      this.#questions.add(question);
      client.once('close', question.settle);
      this.#watches.get(upstream.node.name)?.hurry();
    });
  }

  /** The node for requests at this moment. */
  get passable(): Upstream | undefined {
    return this.#open ? this.#current?.upstream : undefined;
  }

  serves(upstream: Upstream): boolean {
    return upstream === this.#current?.upstream;
  }

  /** Whether Jupyter responds, through the gate. */
  async answers(): Promise<boolean> {
    return this.#open && this.#current !== undefined && (await this.#current.upstream.answers());
  }

  get waiting(): Waiting {
    if (!this.#current) return { reason: 'no-route', since: this.#startedAt };
    const { order, accepted } = this.#current;
    const view = this.#views.get(accepted.node) ?? unknown;
    const since = this.#lostSince ?? new Date();
    const { node } = accepted;
    if (view.kind === 'silent' || this.#open) return { reason: 'no-answer', node, since };
    if (!this.#seenOpen) return { reason: 'starting', node, since };
    return order.reflexes ? { reason: 'electing', node, since } : { reason: 'shut', node, since };
  }

  async health(): Promise<Pick<ProxyHealth, 'route' | 'answering' | 'connections'>> {
    const answering = this.#current ? await this.answers() : null;
    const current = this.#current?.upstream;
    let draining = 0;
    for (const upstream of this.#upstreams.values())
      if (upstream !== current) draining += upstream.connections;
    return {
      route: this.route ?? null,
      answering,
      connections: { current: current?.connections ?? 0, draining },
    };
  }

  // --- current route --------------------------------------------------------------------------------------

  get #open(): boolean {
    if (!this.#current) return false;
    return passable(this.#current, this.#views.get(this.#current.accepted.node) ?? unknown);
  }

  #become(order: RouteOrder, accepted: Accepted, since: string, servingSince?: string): Route {
    const before = this.#current;
    const node = order.nodes.find(({ name }) => name === accepted.node);
    if (node === undefined) throw new Error(`${accepted.node} is not one of the order's nodes`);
    const key = `${node.name} ${authorityOf(nodeWay(node))}`;
    const upstream = this.#upstreams.get(key) ?? new Upstream(node, this.ways);
    this.#upstreams.set(key, upstream);
    upstream.node = node;
    const moved = upstream !== before?.upstream;
    this.#current = {
      order,
      accepted,
      since,
      servingSince: servingSince ?? (moved ? new Date().toISOString() : before.servingSince),
      upstream,
    };
    if (moved) {
      const silent = before !== undefined && this.#views.get(before.accepted.node)?.kind === 'silent';
      this.#seenOpen = false;
      this.#reported = 'unknown';
      this.#drains.delete(upstream);
      upstream.keepIdle(true);
      if (before) void this.#drain(before.upstream, silent);
      for (const question of [...this.#questions]) question.settle();
    }
    if (!isDeepStrictEqual(before?.order.nodes, order.nodes)) this.#watchAll(order);
    const route = this.route as Route;
    const { generation } = order;
    this.#options.logger.info(
      { generation, serving: route.serving, before: before?.accepted },
      moved ? 'route moved' : 'route renewed',
    );
    this.#options.onChange(route);
    this.#refresh();
    return route;
  }

  // --- gates ----------------------------------------------------------------------------------------------

  #watchAll({ nodes }: RouteOrder): void {
    for (const watch of this.#watches.values()) watch.pace = undefined;
    this.#views.clear();
    this.#watches = new Map(
      nodes.map((node) => {
        const watch = new GateWatch(node, this.ways, (view, asked) => this.#onView(watch, view, asked));
        return [node.name, watch];
      }),
    );
  }

  #onView(watch: GateWatch, view: GateView, asked: number): void {
    const { name } = watch.node;
    if (!this.#current || this.#watches.get(name) !== watch) return;
    // The gate may have shut since: a request to it failed after this poll was sent.
    if (view.kind === 'open' && asked < this.#doubtedAt && name === this.#current.accepted.node) return;
    this.#views.set(name, view);
    const { order, accepted, since } = this.#current;
    const next = afterPolls(this.#current, this.#views);
    if (next.node !== accepted.node || next.term !== accepted.term) this.#become(order, next, since);
    else this.#refresh();
    for (const question of [...this.#questions]) {
      if (name === accepted.node && asked >= question.since) question.settle();
    }
  }

  /** Applies the current views of the gates. */
  #refresh(): void {
    if (!this.#current) return;
    const { order, accepted, upstream } = this.#current;
    const view = this.#views.get(accepted.node) ?? unknown;
    this.#reportGate(view);
    if (this.#open) {
      this.#lostSince = undefined;
      this.#seenOpen = true;
      for (const release of [...this.#waiters]) release();
    } else {
      this.#lostSince ??= new Date();
      upstream.dropIdle();
    }
    const searching = !settled(this.#current, view);
    this.#searchingSince = searching ? (this.#searchingSince ?? performance.now()) : undefined;
    const long = performance.now() - (this.#searchingSince ?? Infinity) > longSearchMs;
    const pace = searching ? (long ? longSearch : search) : poll;
    for (const [name, watch] of this.#watches) {
      const wanted = name === accepted.node || (searching && order.reflexes);
      watch.pace = wanted ? pace : undefined;
      // Results of one search are void in the next.
      if (!wanted) this.#views.delete(name);
    }
  }

  #reportGate(view: GateView): void {
    if (view.kind === 'unknown' || view.kind === this.#reported || !this.#current) return;
    const { logger } = this.#options;
    const { node, term } = this.#current.accepted;
    if (view.kind === 'open') logger.info({ node, term: view.term }, 'the gate is open');
    else logger.warn({ node, term, reason: view.reason }, `the gate is ${view.kind}`);
    this.#reported = view.kind;
  }

  // --- earlier nodes--------------------------------------------------------------------------------------

  /**
   * Drains a node that no longer serves. Requests and websockets continue while it is alive, for the order's
   * `drainMs`; those of a dead node are closed at once.
   */
  async #drain(upstream: Upstream, silent: boolean): Promise<void> {
    const own = Symbol();
    this.#drains.set(upstream, own);
    upstream.keepIdle(false);
    const begun = performance.now();
    let patienceMs = silent ? deadAfterMs - poll.deadlineMs : deadAfterMs;
    while (upstream.connections > 0) {
      const leftMs = (this.#current?.order.drainMs ?? 0) - (performance.now() - begun);
      const stays = leftMs > 0 && (await lives(upstream.node, this.ways, Math.min(patienceMs, leftMs)));
      if (this.#drains.get(upstream) !== own) return;
      if (!stays) {
        const { connections } = upstream;
        this.#options.logger.info(
          { node: upstream.node.name, connections },
          'closed connections to an earlier node',
        );
        upstream.cut();
        break;
      }
      patienceMs = deadAfterMs;
      await new Promise((resolve) => setTimeout(resolve, Math.min(drainCheckMs, leftMs)).unref());
      if (this.#drains.get(upstream) !== own) return;
    }
    this.#drains.delete(upstream);
    for (const [key, each] of this.#upstreams) if (each === upstream) this.#upstreams.delete(key);
  }
}
