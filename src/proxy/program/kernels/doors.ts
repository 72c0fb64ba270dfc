import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import type { RouteNode } from '../../api.js';
import type { NotConnected, Upstream } from '../upstream.js';
import type { Ways } from '../ways.js';
import { Door, doorNode, NoDoor, NoKernels, NotReady, type Answer, type Question } from './door.js';

/** A node that refuses connections for this long has no kernels any more: its program starts again within a second. */
const refusedMs = 10_000;
/** The same for one that is silent. Mesos has given it up by then. */
const silentMs = 60_000;

/** What is known of a node after a question to its Jupyter. */
export type Reply =
  | { readonly kind: 'answered'; readonly answer: Answer }
  /** It has nothing that could be named: its Jupyter does not run, it has no door, or it has been dead for long. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'not-known' };

interface Entry {
  readonly node: RouteNode;
  readonly door: Door;
  /** It has answered before; undefined if that is not known. */
  hasDoor: boolean | undefined;
  /** After the last attempt. */
  last: Reply['kind'];
  /** By `performance.now()`: since when all attempts have failed, each alike. */
  failing?: { readonly since: number; readonly refused: boolean } | undefined;
}

/** The doors of all nodes of the route. */
export class Doors {
  #entries = new Map<string, Entry>();

  constructor(
    private readonly options: {
      readonly port: number;
      readonly token: string;
      readonly ways: Ways;
      /** Of the route, by index. */
      readonly nodes: () => readonly RouteNode[];
    },
  ) {}

  get names(): readonly string[] {
    return this.options.nodes().map(({ name }) => name);
  }

  /** As they are reached; for tunnels of other proxies. */
  get nodes(): readonly RouteNode[] {
    return [...this.#current().values()].map(({ door }) => door.node);
  }

  /** Undefined for a node that is not of the route. */
  upstream(node: string): Upstream | undefined {
    return this.#current().get(node)?.door.upstream;
  }

  /** A question to a node's Jupyter; never rejects. */
  async jupyter(node: string, question: Question): Promise<Reply> {
    return this.#reply(node, (door) => door.askJupyter(question));
  }

  /** A question to a node's program; never rejects. */
  async program(node: string, question: Omit<Question, 'headers'>): Promise<Reply> {
    return this.#reply(node, (door) => door.askNode(question));
  }

  /** After the last attempt to reach the node. */
  last(node: string): Reply['kind'] {
    return this.#current().get(node)?.last ?? 'nothing';
  }

  /** The node is of an earlier release: only its gate leads to its Jupyter. */
  lacksDoor(node: string): boolean {
    return this.#current().get(node)?.hasDoor === false;
  }

  async #reply(node: string, ask: (door: Door) => Promise<Answer>): Promise<Reply> {
    const entry = this.#current().get(node);
    if (entry === undefined) return { kind: 'nothing' };
    try {
      const answer = await ask(entry.door);
      // Of Jupyter while it starts a kernel, among others: it says nothing about what there is.
      return answer.status >= 500 ? { kind: 'not-known' } : { kind: 'answered', answer };
    } catch {
      // Of a node that was reached, this means that it is slow.
      return { kind: entry.last === 'nothing' ? 'nothing' : 'not-known' };
    }
  }

  #current(): ReadonlyMap<string, Entry> {
    const { nodes, port, ways, token } = this.options;
    const entries = new Map<string, Entry>();
    for (const node of nodes()) {
      const held = this.#entries.get(node.name);
      const same = held !== undefined && isDeepStrictEqual(held.node, node);
      entries.set(
        node.name,
        same ? held : newEntry(node, (report) => new Door(doorNode(node, port), ways, token, report)),
      );
    }
    this.#entries = entries;
    return entries;
  }
}

function newEntry(node: RouteNode, door: (report: (error?: NotConnected) => void) => Door): Entry {
  const entry: Entry = {
    ...{ node, hasDoor: undefined, last: 'not-known' },
    door: door((error) => {
      entry.last = judge(entry, error);
      if (error === undefined || error instanceof NoKernels || error instanceof NotReady) {
        Object.assign(entry, { hasDoor: true, failing: undefined });
      } else if (error instanceof NoDoor) {
        // A node that has a door ends connections without a word when it dies.
        entry.hasDoor ??= false;
      }
    }),
  };
  return entry;
}

function judge(entry: Entry, error: NotConnected | undefined): Reply['kind'] {
  if (error === undefined) return 'answered';
  if (error instanceof NoKernels || (error instanceof NoDoor && entry.hasDoor !== true)) return 'nothing';
  if (error instanceof NotReady) return 'not-known';
  const refused = error.code === 'ECONNREFUSED';
  const now = performance.now();
  if (entry.failing?.refused !== refused) entry.failing = { since: now, refused };
  return now - entry.failing.since > (refused ? refusedMs : silentMs) ? 'nothing' : 'not-known';
}

const ofConnection = [
  ...['connection', 'keep-alive', 'proxy-authorization', 'proxy-connection', 'te', 'trailer', 'upgrade'],
  ...['transfer-encoding', 'content-length', 'content-type', 'content-encoding', 'expect'],
  ...['accept-encoding', 'if-none-match', 'if-modified-since', 'range'],
];

/** The headers of a person's request, for a question of the proxy's own in that person's name. */
export function inTheNameOf(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const kept = Object.entries(headers).filter(
    ([name]) => !ofConnection.includes(name) && !name.startsWith('sec-websocket-'),
  );
  return Object.fromEntries(kept);
}

/** A path with the token of the person's request, where that is in its address. */
export function pathWith(path: string, url: string): string {
  const token = URL.canParse(url, 'http://base.invalid')
    ? new URL(url, 'http://base.invalid').searchParams.get('token')
    : null;
  return token === null ? path : `${path}?token=${encodeURIComponent(token)}`;
}
