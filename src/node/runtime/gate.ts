import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import type { Logger } from 'pino';
import { messageOf } from '../../errors/error.js';
import { gatePath, type GateStatus } from '../api.js';
import { Passage } from './passage.js';

export interface GateOptions {
  /** Where users come in. */
  readonly address: string;
  readonly port: number;
  /** Path of Jupyter's Unix socket. */
  readonly socket: string;
  /** Whether what was decided last still holds, at this very moment. */
  readonly admits: () => boolean;
  readonly status: () => GateStatus;
  /** It listens now. */
  readonly onListening: () => void;
  /** Who else listens there, in words for a log. */
  readonly holderOf: (address: string, port: number) => string;
  readonly logger: Logger;
}

/** A connection without a byte for so long has no request under way. */
const idleMs = 250;
/** How long requests that are under way may take once another node serves. */
const drainMs = 5_000;
/**
 * For how long a gate that shuts in order still accepts: the proxies have heard by then, and a connection that
 * the kernel has made, and this process has not yet taken, would be reset together with the listener.
 */
const lateMs = 50;
/** Between two looks at the connections that drain. */
const drainLookMs = 50;
/** Between two attempts to listen. */
const retryMs = 250;
/** A connection may be silent for ever; after this the kernel asks whether the peer still lives, for 10 s. */
const keepAliveMs = 30_000;

/** How the first line of a request for the gate's own status begins. */
const gateLines = [`GET ${gatePath} `, `GET ${gatePath}?`].map((line) => Buffer.from(line));

interface Connection {
  readonly client: Socket;
  readonly since: number;
  /** Undefined until it has said enough. */
  use?: 'asks the gate' | Passage;
}

/**
 * The way into the node's Jupyter. Open, it listens and passes bytes; shut, it has no listener, so a client is
 * refused at once (in order, `lateMs` later). It does what it is told, and asks `admits` for each connection and each piece of data
 * besides: while the whole process was stopped, the kernel took connections and bytes that nobody has decided
 * on. Only websockets outlive it; the proxies drain or cut those.
 */
export class Gate {
  private wanted = false;
  private server: Server | undefined;
  private retry: NodeJS.Timeout | undefined;
  private failure: string | undefined;
  private draining:
    { readonly since: number; readonly until: number; readonly timer: NodeJS.Timeout } | undefined;
  private readonly connections = new Set<Connection>();
  private readonly answers: HttpServer;

  constructor(private readonly options: GateOptions) {
    // It is handed connections, and listens nowhere itself.
    this.answers = createHttpServer({ keepAliveTimeout: 0 }, (request, response) => {
      if (!options.admits()) {
        request.socket.destroy();
        return;
      }
      const asked = request.url === gatePath || request.url?.startsWith(`${gatePath}?`) === true;
      const found = asked && request.method === 'GET';
      const body = found ? options.status() : { message: `there is GET ${gatePath}` };
      response.writeHead(found ? 200 : 404, {
        'content-type': 'application/json',
        'cache-control': 'no-store',
      });
      response.end(`${JSON.stringify(body)}\n`);
    });
  }

  get listening(): boolean {
    return this.wanted && this.server?.listening === true;
  }

  /** Of every kind, those that drain and websockets among them. */
  get connectionCount(): number {
    return this.connections.size;
  }

  open(): void {
    if (this.wanted) return;
    this.wanted = true;
    this.stopDraining();
    if (this.server === undefined) this.listen();
  }

  /**
   * With `inOrder`, requests that are under way, or come in `lateMs`, may end; otherwise nothing goes on. Connections that ask the
   * gate end at once, which is how a proxy hears of it.
   */
  shut(inOrder: boolean): void {
    if (!this.wanted) return;
    this.wanted = false;
    clearTimeout(this.retry);
    if (this.server?.listening !== true) this.stopListening();
    this.failure = undefined;
    const since = performance.now();
    const until = since + (inOrder ? drainMs : 0);
    this.draining = { since, until, timer: setInterval(() => this.drain(), drainLookMs) };
    this.drain();
  }

  /** Ends everything, websockets too. */
  close(): void {
    this.shut(false);
    this.stopListening();
    this.stopDraining();
    for (const { client } of this.connections) client.destroy();
  }

  private listen(): void {
    const { address, port, logger } = this.options;
    const server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveMs,
    });
    this.server = server;
    server.on('connection', (client) => this.accept(client));
    server.on('listening', () => {
      // Shut before it had begun.
      if (this.server !== server) {
        server.close();
        return;
      }
      this.failure = undefined;
      this.options.onListening();
    });
    server.on('error', (error) => {
      if (this.server !== server) return;
      const holder = this.options.holderOf(address, port);
      const failure = `${messageOf(error)}${holder && `: ${holder}`}`;
      if (failure !== this.failure)
        logger.error({ address, port, reason: failure }, 'the gate cannot listen');
      this.failure = failure;
      this.retry = setTimeout(() => this.listen(), retryMs);
    });
    server.listen(port, address);
  }

  private accept(client: Socket): void {
    if (!this.permits()) {
      client.resetAndDestroy();
      return;
    }
    const connection: Connection = { client, since: performance.now() };
    this.connections.add(connection);
    client.on('close', () => this.connections.delete(connection));
    // A failure closes it.
    client.on('error', () => undefined);

    let head: Buffer = Buffer.alloc(0);
    const peek = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const forGate = asksGate(head);
      if (forGate === undefined) return;
      client.off('data', peek);
      client.off('end', ended);
      client.pause();
      client.unshift(head);
      if (forGate) {
        connection.use = 'asks the gate';
        this.answers.emit('connection', client);
      } else {
        connection.use = new Passage({
          client,
          socket: this.options.socket,
          permits: () => this.permits(),
        });
      }
      client.resume();
    };
    const ended = () => client.destroy();
    client.on('data', peek);
    client.on('end', ended);
  }

  private permits(): boolean {
    // Asked first: it may find that the gate is to be shut, and do so.
    if (this.options.admits()) return true;
    return this.draining !== undefined && performance.now() < this.draining.until;
  }

  private drain(): void {
    if (this.draining === undefined) return;
    const { since: begun, until } = this.draining;
    const now = performance.now();
    if (now >= Math.min(begun + lateMs, until)) this.stopListening();
    let left = 0;
    for (const { client, use, since } of this.connections) {
      if (use instanceof Passage && use.upgraded) continue;
      // What was sent when the gate shut may still be on its way to here, so silence counts from then on.
      const idleSince = Math.max(begun, use instanceof Passage ? (use.idleSince ?? now) : since);
      if (use === 'asks the gate' || now - idleSince >= idleMs || now >= until) client.destroy();
      else left += 1;
    }
    if (left === 0 && this.server === undefined) this.stopDraining();
  }

  private stopListening(): void {
    this.server?.close();
    this.server = undefined;
  }

  private stopDraining(): void {
    clearInterval(this.draining?.timer);
    this.draining = undefined;
  }
}

/** Undefined while too little was said to tell. */
function asksGate(head: Buffer): boolean | undefined {
  if (gateLines.some((line) => head.subarray(0, line.length).equals(line))) return true;
  return gateLines.some((line) => line.subarray(0, head.length).equals(head)) ? undefined : false;
}
