import http from 'node:http';
import type net from 'node:net';
import { DialAgent, PreparedAgent } from './agents.js';
import type { RouteNode } from '../api.js';
import { authorityOf, nodeWay, type Ways } from './ways.js';

const probeDeadlineMs = 2_000;
/** Many waiting pages poll at once; they share one probe of the node. */
const probeSharedForMs = 300;

/** No connection could be made: nothing of the request was sent. */
export class NotConnected extends Error {
  constructor(
    readonly code: 'ECONNREFUSED' | 'ETIMEDOUT',
    reason: string,
  ) {
    super(reason);
  }
}

/** One node's Jupyter behind its gate: its connections, and whether it responds. */
export class Upstream {
  // Idle connections end before the server's own limit (5 s in Node, an hour in Jupyter) could end them just
  // when they are reused. The limit does not apply to connections in use.
  readonly #agent = new DialAgent(() => this.connect(), { timeout: 4_000 });
  readonly #open = new Set<net.Socket>();
  #node: RouteNode;
  #target: string;
  #probe: { readonly startedAt: number; readonly result: Promise<boolean> } | undefined;

  /**
   * @param enter makes the connection to Jupyter of one to the node; may throw `NotConnected`
   * @param report called with the result of each attempt to connect
   */
  constructor(
    node: RouteNode,
    private readonly ways: Ways,
    private readonly enter: (socket: net.Socket) => Promise<net.Socket> = (socket) => Promise.resolve(socket),
    private readonly report: (error?: NotConnected) => void = () => undefined,
  ) {
    this.#node = node;
    this.#target = ways.best(node);
  }

  get node(): RouteNode {
    return this.#node;
  }

  /** The same node with other ways to its address. */
  set node(node: RouteNode) {
    this.#node = node;
    if (!node.ways.includes(this.#target)) this.#target = this.ways.best(node);
  }

  /** Address of the gate, for the library, which connects through the agent. */
  get address(): URL {
    return new URL(`http://${authorityOf(nodeWay(this.#node))}`);
  }

  /** The way of the newest connection. */
  get target(): string {
    return this.#target;
  }

  /** Keeps connections for reuse. */
  get agent(): http.Agent {
    return this.#agent;
  }

  /** Open connections, including websockets. */
  get connections(): number {
    return this.#open.size;
  }

  /** @throws NotConnected */
  async connect(): Promise<net.Socket> {
    const socket = await this.#dial();
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    return socket;
  }

  /** For one request, over a connection from `connect`. */
  agentFor(socket: net.Socket): http.Agent {
    return new PreparedAgent(socket);
  }

  /** Whether a new connection gets any HTTP response to `GET /api` (Jupyter answers it without a token). */
  answers(): Promise<boolean> {
    if (!this.#probe || Date.now() - this.#probe.startedAt > probeDeadlineMs + probeSharedForMs) {
      const own = { startedAt: Date.now(), result: this.#answersNow() };
      this.#probe = own;
      void own.result.then(() => {
        setTimeout(() => {
          if (this.#probe === own) this.#probe = undefined;
        }, probeSharedForMs).unref();
      });
    }
    return this.#probe.result;
  }

  /** Whether connections stay open after their request; does not affect those in use. */
  keepIdle(keep: boolean): void {
    this.#agent.keepIdle = keep;
    if (!keep) this.dropIdle();
  }

  /** Ends idle connections. */
  dropIdle(): void {
    for (const idle of Object.values(this.#agent.freeSockets)) {
      for (const socket of [...(idle ?? [])]) socket.destroy();
    }
  }

  /** Ends every connection at once. */
  cut(): void {
    for (const socket of [...this.#open]) {
      socket.destroy(
        Object.assign(new Error('the connection was closed by the proxy'), { code: 'ECONNRESET' }),
      );
    }
  }

  async #dial(): Promise<net.Socket> {
    try {
      const socket = await this.#enterNode();
      this.report();
      return socket;
    } catch (error) {
      if (error instanceof NotConnected) this.report(error);
      throw error;
    }
  }

  async #enterNode(): Promise<net.Socket> {
    const dialled = await this.ways.dial(this.#node);
    if (dialled.kind === 'refused') throw new NotConnected('ECONNREFUSED', `${this.#node.name} refuses`);
    if (dialled.kind === 'unreachable') throw new NotConnected('ETIMEDOUT', dialled.reason);
    this.#target = dialled.way;
    return await this.enter(dialled.socket);
  }

  async #answersNow(): Promise<boolean> {
    const signal = AbortSignal.timeout(probeDeadlineMs);
    let socket: net.Socket;
    try {
      socket = await this.#dial();
    } catch {
      return false;
    }
    return new Promise((resolve) => {
      const request = http.get({
        ...{ host: this.address.hostname, path: '/api', headers: { connection: 'close' } },
        agent: new PreparedAgent(socket),
        signal,
      });
      request.on('response', (answer) => {
        answer.destroy();
        resolve(true);
      });
      request.on('error', () => resolve(false));
      request.on('close', () => {
        socket.destroy();
        resolve(false);
      });
    });
  }
}
