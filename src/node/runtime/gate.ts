import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import type { Logger } from 'pino';
import type { UserIds } from '../../cluster/spec.js';
import { messageOf } from '../../errors/error.js';
import { gatePath, type GateStatus } from '../api.js';
import { Passage } from './passage.js';

export interface GateOptions {
  /** Where users connect. */
  readonly address: string;
  readonly port: number;
  /** Path of Jupyter's Unix socket. */
  readonly socket: string;
  /** Whose socket it must be; absent: it is not checked. */
  readonly owner?: UserIds | undefined;
  /** Whether the last decision still holds at this moment. */
  readonly admits: () => boolean;
  readonly status: () => GateStatus;
  /** It listens now. */
  readonly onListening: () => void;
  /** Who else listens at the address, as text for a log. */
  readonly holderOf: (address: string, port: number) => string;
  readonly logger: Logger;
}

/** A connection without a byte for this long has no open request. */
const idleMs = 250;
/** How long open requests may take once another node serves. */
const drainMs = 5_000;
/**
 * For how long a gate that shuts in order still accepts: by then the proxies know. A connection that the
 * kernel has established, and this process has not accepted yet, would be reset together with the listener.
 */
const lateMs = 50;
/** Between two checks of the draining connections. */
const drainCheckMs = 50;
/** Between two attempts to listen. */
const retryMs = 250;
/** A connection may stay silent; after this the kernel probes whether the peer is alive, for 10 s. */
const keepAliveMs = 30_000;

/** How the first line of a request for the gate's own status begins. */
const gateLines = [`GET ${gatePath} `, `GET ${gatePath}?`].map((line) => Buffer.from(line));

interface Connection {
  readonly client: Socket;
  readonly since: number;
  /** Undefined until enough bytes have arrived. */
  use?: 'asks the gate' | Passage;
}

/**
 * The entrance to the node's Jupyter. Open, it listens and passes bytes; shut, it has no listener, so clients
 * are refused at once (in order, `lateMs` later). Besides, it checks `admits` for each connection and each
 * piece of data: while the whole process was stopped, the kernel accepted connections and bytes without a
 * decision. Only websockets outlive it; the proxies drain or cut those.
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
    // It is handed connections, and has no listener itself.
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

  /** Connections of every kind, including draining ones and websockets. */
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
   * With `inOrder`, open requests, and those within `lateMs`, may end; otherwise all stop. Connections for
   * the gate's status end at once, which notifies the proxies.
   */
  shut(inOrder: boolean): void {
    if (!this.wanted) return;
    this.wanted = false;
    clearTimeout(this.retry);
    if (this.server?.listening !== true) this.stopListening();
    this.failure = undefined;
    const since = performance.now();
    const until = since + (inOrder ? drainMs : 0);
    this.draining = { since, until, timer: setInterval(() => this.drain(), drainCheckMs) };
    this.drain();
  }

  /** Ends everything, including websockets. */
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
      // It was shut before it began to listen.
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
          owner: this.options.owner,
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
    // Checked first: it may find that the gate must be shut, and shut it.
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
      // Data sent when the gate shut may still be on their way, so silence counts from then on.
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

/** Undefined while there are too few bytes to decide. */
function asksGate(head: Buffer): boolean | undefined {
  if (gateLines.some((line) => head.subarray(0, line.length).equals(line))) return true;
  return gateLines.some((line) => line.subarray(0, head.length).equals(head)) ? undefined : false;
}
