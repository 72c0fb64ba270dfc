import type { IncomingHttpHeaders } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import type { KernelPlacement } from '../../../cluster/spec.js';
import { jsonOf } from '../../../net/json.js';
import {
  kernelRoutes,
  placedSchema,
  roomSchema,
  type EndOfPlacement,
  type PlaceOrder,
} from '../../../node/kernels.js';
import type { Router } from '../router.js';
import type { Upstream } from '../upstream.js';
import { ask, type Answer } from './door.js';
import { Doors, inTheNameOf, pathWith, type Reply } from './doors.js';
import { ownerByName, type List, type Named } from './named.js';
import { idOf, kernelOf, readList, union, unreachable, type Model } from './union.js';

/** How long a list waits for a node. */
const listMs = 300;
/** A slow node gets more time when the answer depends on it. */
const patientMs = 1_000;
const againMs = 200;
/** IDs whose node is remembered: the oldest are forgotten. */
const mostOwners = 10_000;

export interface KernelsOptions {
  readonly router: Pick<Router, 'route' | 'ways' | 'passable'>;
  /** `node-kernels-token`. */
  readonly token: string;
  /** The control port of nodes. */
  readonly port: number;
  readonly placement: KernelPlacement;
}

/** A person's request. */
export interface Person {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** `destroyed` once the person has gone. */
  readonly client: { readonly destroyed: boolean };
}

/**
 * Where a request goes: to a node's Jupyter, whoever serves; to the serving one, by the route; or nowhere yet, because
 * a node that may be meant does not answer.
 */
export type Destination =
  | { readonly kind: 'node'; readonly node: string; readonly upstream: Upstream }
  | { readonly kind: 'gate' }
  | { readonly kind: 'not-known' };

const gate: Destination = { kind: 'gate' };
const notKnown: Destination = { kind: 'not-known' };

const sessionSchema = z.looseObject({
  path: z.string().optional(),
  kernel: z.looseObject({ id: z.string().nullish() }).nullish(),
});

/** One view of the kernels, sessions and terminals of all nodes. */
export class Kernels {
  readonly doors: Doors;
  /** The node by ID of a kernel or session. */
  readonly #owners = new Map<string, string>();
  /** What each node last listed, by list and node. */
  readonly #seen = new Map<string, readonly Model[]>();

  constructor(private readonly options: KernelsOptions) {
    const { router, port, token } = options;
    this.doors = new Doors({ port, token, ways: router.ways, nodes: () => router.route?.nodes ?? [] });
  }

  /** The union over all nodes; undefined if none answers, or Jupyter must say itself why it refuses. */
  async list(list: List, person: Person): Promise<(Answer & { readonly body: Buffer }) | undefined> {
    const replies = await this.#askAll(`/api/${list}`, person, listMs);
    const good = [...replies].flatMap(([node, reply]) => {
      const models = this.#learn(list, node, reply);
      return models === undefined || reply.kind !== 'answered'
        ? []
        : [{ node, answer: reply.answer, models }];
    });
    const serving = this.options.router.route?.serving.node;
    const first = good.find(({ node }) => node === serving) ?? good[0];
    if (first === undefined) return undefined;
    const all = [...replies].map(([node, reply]) => {
      const answered = good.find((each) => each.node === node);
      if (answered) return answered.models;
      if (reply.kind === 'nothing') return [];
      return (this.#seen.get(`${list} ${node}`) ?? []).map((model) => unreachable(list, model));
    });
    return { ...first.answer, body: Buffer.from(JSON.stringify(union(list, all))) };
  }

  /** Asks again for `patienceMs` while a node that may be meant does not answer. */
  async find(
    named: Named & { readonly kind: 'item' },
    person: Person,
    patienceMs: number,
  ): Promise<Destination> {
    return this.#retry(person, patienceMs, (askMs) => this.#findNow(named, person, askMs));
  }

  /** Where a new kernel starts. `body` is what the person sent. */
  async place(
    list: 'kernels' | 'sessions',
    body: string,
    person: Person,
    patienceMs: number,
  ): Promise<Destination> {
    const wanted = list === 'sessions' ? sessionSchema.safeParse(jsonOf(body)) : undefined;
    // Jupyter says what is wrong.
    if (wanted?.success === false) return gate;
    const { path, kernel } = wanted?.data ?? {};
    const id = kernel?.id;
    if (typeof id === 'string') return this.find({ kind: 'item', list: 'kernels', id }, person, patienceMs);
    const isOfLeader = this.options.placement === 'leader';
    if (isOfLeader && path === undefined) return gate;
    return this.#retry(person, patienceMs, async (askMs) => {
      const existing = await this.#sessionOf(path, person, askMs);
      if (existing !== undefined) return existing;
      return isOfLeader ? gate : this.#placeNow(path, askMs);
    });
  }

  /** Learns from a model of that node. */
  learn(list: List, node: string, model: string): void {
    for (const each of readList(list, `[${model}]`) ?? []) this.#own(list, each, node);
  }

  /** The end of a creation by `place`, with or without success: others who open the notebook need not wait. */
  placed(body: string): void {
    const wanted = sessionSchema.safeParse(jsonOf(body));
    const path = wanted.success ? wanted.data.path : undefined;
    const serving = this.options.router.route?.serving.node;
    if (path === undefined || serving === undefined) return;
    const end: EndOfPlacement = { path };
    void this.doors.program(serving, {
      ...{ method: 'POST', path: kernelRoutes.placed, body: JSON.stringify(end) },
      deadlineMs: patientMs,
    });
  }

  async #retry(
    person: Person,
    patienceMs: number,
    now: (askMs: number) => Promise<Destination>,
  ): Promise<Destination> {
    const until = performance.now() + patienceMs;
    for (let askMs = listMs; ; askMs = patientMs) {
      const found = await now(askMs);
      if (found.kind !== 'not-known' || performance.now() + againMs > until) return found;
      await delay(againMs);
      if (person.client.destroyed) return notKnown;
    }
  }

  async #findNow(
    named: Named & { readonly kind: 'item' },
    person: Person,
    askMs: number,
  ): Promise<Destination> {
    const owner = ownerByName(named) ?? this.#owners.get(named.id);
    if (owner !== undefined) {
      const known = this.#to(owner);
      // Its Jupyter says itself what it does not have.
      if (known.kind === 'node' && this.doors.last(owner) !== 'nothing') return known;
    }
    if (named.list === 'terminals') return gate;
    const path = `/api/${named.list}/${encodeURIComponent(named.id)}`;
    const replies = await this.#askAll(path, person, askMs);
    for (const [node, reply] of replies) {
      if (reply.kind !== 'answered' || reply.answer.status !== 200) continue;
      this.learn(named.list, node, reply.answer.body.toString());
      return this.#to(node);
    }
    return [...replies.values()].some(({ kind }) => kind === 'not-known') ? notKnown : gate;
  }

  /**
   * The node with the notebook's session; undefined if there is none. The serving node refuses people whom every Jupyter
   * refuses, so that no room is counted for a kernel that never starts.
   */
  async #sessionOf(
    path: string | undefined,
    person: Person,
    askMs: number,
  ): Promise<Destination | undefined> {
    const replies = await this.#askAll('/api/sessions', person, askMs);
    const statuses = [...replies.values()].flatMap((reply) =>
      reply.kind === 'answered' ? [reply.answer.status] : [],
    );
    if (!statuses.includes(200) && statuses.some((status) => status === 401 || status === 403)) return gate;
    if (path === undefined) return undefined;
    let missing = false;
    for (const [node, reply] of replies) {
      const models = this.#learn('sessions', node, reply);
      const known = models ?? (reply.kind === 'not-known' ? this.#seen.get(`sessions ${node}`) : []);
      if (known?.some((model) => model['path'] === path) !== true) continue;
      if (models !== undefined) return this.#to(node);
      missing = true;
    }
    return missing ? notKnown : undefined;
  }

  async #placeNow(path: string | undefined, askMs: number): Promise<Destination> {
    const serving = this.options.router.route?.serving.node;
    if (serving === undefined) return gate;
    const rooms = await this.#rooms(askMs);
    if (rooms.length === 0) return gate;
    const order: PlaceOrder = { ...(path !== undefined && path.length <= 4_096 && { path }), rooms };
    const reply = await this.doors.program(serving, {
      ...{ method: 'POST', path: kernelRoutes.place, body: JSON.stringify(order) },
      deadlineMs: askMs,
    });
    if (reply.kind !== 'answered') return reply.kind === 'nothing' ? gate : notKnown;
    const placed = placedSchema.safeParse(jsonOf(reply.answer.body.toString()));
    if (!placed.success) return gate;
    return placed.data.underWay ? notKnown : this.#to(placed.data.node);
  }

  async #rooms(askMs: number): Promise<PlaceOrder['rooms']> {
    const rooms = await Promise.all(
      this.doors.names.map(async (node) => {
        // A kernel takes longer to start, and a node that is busy for a moment is no worse a place for it.
        const deadlineMs = this.doors.last(node) === 'answered' ? patientMs : askMs;
        const reply = await this.doors.program(node, { path: kernelRoutes.room, deadlineMs });
        if (reply.kind !== 'answered') return [];
        const room = roomSchema.safeParse(jsonOf(reply.answer.body.toString()));
        if (!room.success || room.data.jupyter !== 'ready' || room.data.kernels === undefined) return [];
        const { kernels, availableBytes } = room.data;
        return [{ node, kernels, availableBytes }];
      }),
    );
    return rooms.flat();
  }

  async #askAll(path: string, { url, headers }: Person, deadlineMs: number): Promise<Map<string, Reply>> {
    const question = { path: pathWith(path, url), headers: inTheNameOf(headers), deadlineMs };
    const replies = await Promise.all(
      this.doors.names.map(async (node) => {
        const reply = await this.doors.jupyter(node, question);
        const open = this.doors.lacksDoor(node) ? this.options.router.passable : undefined;
        if (open?.node.name !== node) return [node, reply] as const;
        // Of an earlier release, and serving: its gate leads to it.
        const answer = await ask(open.agent, question).catch(() => undefined);
        return [node, answer === undefined ? reply : ({ kind: 'answered', answer } as const)] as const;
      }),
    );
    return new Map(replies);
  }

  /** The list in the answer; undefined if it is none. */
  #learn(list: List, node: string, reply: Reply): readonly Model[] | undefined {
    if (reply.kind !== 'answered' || reply.answer.status !== 200) return undefined;
    const models = readList(list, reply.answer.body.toString());
    if (models === undefined) return undefined;
    this.#seen.set(`${list} ${node}`, models);
    for (const model of models) this.#own(list, model, node);
    return models;
  }

  #own(list: List, model: Model, node: string): void {
    const kernel = list === 'sessions' ? kernelOf(model) : undefined;
    for (const id of [idOf(list, model), ...(kernel === undefined ? [] : [kernel])]) {
      this.#owners.delete(id);
      this.#owners.set(id, node);
    }
    for (const oldest of this.#owners.keys()) {
      if (this.#owners.size <= mostOwners) break;
      this.#owners.delete(oldest);
    }
  }

  #to(node: string): Destination {
    const upstream = this.doors.upstream(node);
    return upstream === undefined || this.doors.lacksDoor(node) ? gate : { kind: 'node', node, upstream };
  }
}
