import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { routeOrderSchema, type ProxyHealth, type Route, type RouteOrder } from '../api.js';
import { afterLook, afterOrder, passable, settled, type Accepted, type GateView } from './decide.js';
import { GateWatch, lives, type Pace } from './gate.js';
import { Upstream } from './upstream.js';
import type { Waiting } from './waiting.js';
import { authorityOf, nodeWay, Ways } from './ways.js';

export interface RouterOptions {
  /** The address that users reach this proxy at: `127.0.1.1:8888`. */
  readonly self: string;
  readonly logger: Logger;
  /** Called with each change of the route, by an order or by a reflex. */
  readonly onChange: (route: Route) => void;
}

/** Of the gate that serves. */
const poll: Pace = { everyMs: 100, deadlineMs: 500 };
/** Of every gate, while another one may be open. */
const search: Pace = { everyMs: 30, deadlineMs: 300 };
/** Where a search has brought nothing for `longSearchMs`: the cluster has no leader, and may have none for long. */
const longSearch: Pace = { everyMs: 100, deadlineMs: 300 };
const longSearchMs = 5_000;
/** A machine that gives no sign for this long is taken for dead. */
const deadAfterMs = 2_000;
const drainCheckMs = 1_000;
/** Requests that wait for a gate at once; each one costs its headers and a connection. */
const maxHeld = 1_000;

const unknown: GateView = { kind: 'unknown' };

interface Current {
  readonly order: RouteOrder;
  readonly accepted: Accepted;
  /** ISO 8601: of the order, and of the node that serves. */
  readonly since: string;
  readonly servingSince: string;
  readonly upstream: Upstream;
}

/** Of a request that was lost: what was the gate's answer to a question that was put later? */
interface Question {
  /** Of `performance.now()`. */
  readonly since: number;
  settle: () => void;
}

/**
 * Leads requests to the node that serves: it takes the keeper's orders, asks the gates, turns by reflex, holds
 * requests while no gate is acceptable, and lets go of the node before.
 */
export class Router {
  readonly ways: Ways;
  readonly #options: RouterOptions;
  readonly #startedAt = new Date();
  #current: Current | undefined;
  /** By name and address: the one that serves, and earlier ones whose connections are not yet ended. */
  readonly #upstreams = new Map<string, Upstream>();
  readonly #drains = new Map<Upstream, symbol>();
  #watches = new Map<string, GateWatch>();
  readonly #views = new Map<string, GateView>();
  readonly #waiters = new Set<() => void>();
  readonly #questions = new Set<Question>();
  #lostSince: Date | undefined;
  #searchingSince: number | undefined;
  /** Since the present node was accepted. */
  #seenOpen = false;
  #told: GateView['kind'] = 'unknown';
  /** Of `performance.now()`: what a gate was asked before is void. */
  #doubtedAt = 0;

  constructor(options: RouterOptions) {
    this.#options = options;
    this.ways = new Ways(options.self);
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

  /** Goes on where an earlier process was. */
  restore(route: Route): void {
    const { serving, since } = route;
    const { node, term, by } = serving;
    this.#become(routeOrderSchema.parse(route), { node, term, by }, since, serving.since);
  }

  /**
   * The node that requests may go to now, or as soon as there is one; undefined when `patienceMs` is over, the
   * one who asks has gone, nobody has given an order yet, or too many wait already.
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

  /** The gate of the node cannot be reached: nothing goes there before it has answered again. */
  doubt(upstream: Upstream): void {
    if (!this.#current || upstream !== this.#current.upstream) return;
    this.#doubtedAt = performance.now();
    const { node } = this.#current.accepted;
    this.#views.set(node, unknown);
    this.#watches.get(node)?.hurry();
    this.#refresh();
  }

  /**
   * A request was lost behind the gate of the node, be it by Jupyter's refusal or by the node's end: asks the gate,
   * and nobody else waits for its answer. Resolves when the gate has answered, another node serves, the time is over,
   * or the one who asks has gone; to whether the node still serves, with an open gate.
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

  serves(upstream: Upstream): boolean {
    return upstream === this.#current?.upstream;
  }

  /** Whether Jupyter answers, through the gate. */
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

  // --- what is in force -----------------------------------------------------------------------------------

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
      this.#told = 'unknown';
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
    // A gate that was open before a request failed at it need not be open now.
    if (view.kind === 'open' && asked < this.#doubtedAt && name === this.#current.accepted.node) return;
    this.#views.set(name, view);
    const { order, accepted, since } = this.#current;
    const next = afterLook(this.#current, this.#views);
    if (next.node !== accepted.node || next.term !== accepted.term) this.#become(order, next, since);
    else this.#refresh();
    for (const question of [...this.#questions]) {
      if (name === accepted.node && asked >= question.since) question.settle();
    }
  }

  /** Draws the consequences of what is known of the gates. */
  #refresh(): void {
    if (!this.#current) return;
    const { order, accepted, upstream } = this.#current;
    const view = this.#views.get(accepted.node) ?? unknown;
    this.#tell(view);
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
      // What was seen in one search says nothing in the next one.
      if (!wanted) this.#views.delete(name);
    }
  }

  #tell(view: GateView): void {
    if (view.kind === 'unknown' || view.kind === this.#told || !this.#current) return;
    const { logger } = this.#options;
    const { node, term } = this.#current.accepted;
    if (view.kind === 'open') logger.info({ node, term: view.term }, 'the gate is open');
    else logger.warn({ node, term, reason: view.reason }, `the gate is ${view.kind}`);
    this.#told = view.kind;
  }

  // --- nodes before ---------------------------------------------------------------------------------------

  /**
   * Lets go of a node that serves no longer. Requests and websockets go on while it lives, for the time of the
   * order; those of a dead one are cut at once.
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
