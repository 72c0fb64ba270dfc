import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { messageOf } from '../../errors/error.js';
import { isSameSecret } from '../../net/same-secret.js';
import type { RouteNode } from '../api.js';
import { isEncrypted, proofOf } from './https.js';

/** Deadline for a connection over any way; after it the node counts as unreachable. */
export const dialDeadlineMs = 1_000;
/** After this silence the next way is tried in parallel. */
const staggerMs = 200;
/** Retry interval for skipped ways, independent of requests. */
const retryMs = 1_000;
/** How often tunnels are checked. */
const lookMs = 500;
/** A way with silent tunnels is dead if it makes no new tunnel within this time. */
const deadTunnelMs = 1_500;
/** Between two probes of a way whose tunnels stay silent: Jupyter may be slow. */
const longestPauseMs = 4_000;

/** The proxies of a tunnel so far, each by its listen address. */
export const viaHeader = 'x-perijove-via';
/** Of a tunnel over TLS: that it ends at a proxy of this cluster (`proofOf`). */
export const proofHeader = 'x-perijove-proof';
/** Why a proxy on the way could not make the tunnel. */
export const tunnelHeader = 'x-perijove-tunnel';
export const tunnelFailures = ['refused', 'unreachable', 'no-route', 'not-a-node'] as const;
export type TunnelFailure = (typeof tunnelFailures)[number];

export type Dialled =
  | { readonly kind: 'connected'; readonly socket: net.Socket; readonly way: string }
  /** The node itself refuses, or a proxy on the way says that it does. */
  | { readonly kind: 'refused' }
  | {
      readonly kind: 'unreachable';
      readonly reason: string;
      /** The proxy on the way works, and does not know the node (yet). */
      readonly answered?: boolean;
    };

type Node = Pick<RouteNode, 'ways'>;

/** Address of the node's gate: the end of every way. */
export function nodeWay({ ways }: Node): string {
  return ways.at(-1) ?? '';
}

/** `127.0.1.2:8888` of `http://127.0.1.2:8888`. */
export function authorityOf(way: string): string {
  const { host, port } = endpoint(way);
  return `${host}:${port}`;
}

/**
 * The ways in the order to try them. A tunnel never passes the same proxy twice; when it returns to one it
 * has passed (`self` is in `via`), the only way is the node itself. Ways that did not respond come last.
 */
export function waysToTry(
  node: Node,
  { self, via, passedOver }: { self: string; via: readonly string[]; passedOver: ReadonlySet<string> },
): readonly string[] {
  const last = nodeWay(node);
  if (via.includes(self)) return [last];
  const seen = new Set(via.concat(self));
  const open = node.ways.filter((way) => way === last || !seen.has(authorityOf(way)));
  return [...open.filter((way) => !passedOver.has(way)), ...open.filter((way) => passedOver.has(way))];
}

export interface DialOptions {
  readonly via?: readonly string[];
  readonly deadlineMs?: number;
}

/** A connection through another proxy. */
interface Tunnel {
  readonly way: string;
  /** Its destination. */
  readonly node: Node;
  /** By `performance.now()`. */
  readonly at: number;
  /** Bytes read and written at the last check. */
  read: number;
  written: number;
  /** Something was sent since the last byte was received. */
  waits: boolean;
}

/** A way on which no tunnel has received a byte since the last check. */
interface Silence {
  /** By `performance.now()`: when to probe it next. */
  askAt: number;
  pauseMs: number;
  /** A tunnel waits for a response. */
  urgent: boolean;
}

/** Connects to nodes over the first way that responds. */
export class Ways {
  /** Skipped ways, with the node for the retry. */
  readonly #passedOver = new Map<string, Node>();
  #retry: NodeJS.Timeout | undefined;
  /** Tunnels of this host's requests and those carried for other hosts. */
  readonly #tunnels = new Map<net.Socket, Tunnel>();
  readonly #silences = new Map<string, Silence>();
  #look: NodeJS.Timeout | undefined;

  /**
   * @param self this proxy's listen address: `127.0.1.1:8888`
   * @param secrets of this cluster's proxies; two while one replaces the other
   */
  constructor(
    readonly self: string,
    private readonly secrets: readonly string[],
  ) {}

  /** The way to try first. */
  best(node: Node): string {
    return this.#toTry(node)[0] ?? nodeWay(node);
  }

  /** Never rejects. A returned socket has an error listener. */
  dial(node: Node, { via = [], deadlineMs = dialDeadlineMs }: DialOptions = {}): Promise<Dialled> {
    return new Promise((resolve) => {
      const ways = this.#toTry(node, via);
      const last = nodeWay(node);
      const ending = new AbortController();
      const reasons: string[] = [];
      let next = 0;
      let running = 0;
      let stagger: NodeJS.Timeout | undefined;

      const settle = (result: Dialled): void => {
        clearTimeout(deadline);
        clearTimeout(stagger);
        ending.abort();
        resolve(result);
      };
      const tryNext = (): void => {
        clearTimeout(stagger);
        const way = ways[next];
        if (way === undefined) {
          if (running === 0) settle({ kind: 'unreachable', reason: reasons.join('; ') });
          return;
        }
        next += 1;
        running += 1;
        stagger = setTimeout(() => {
          if (way !== last) this.#passOver(way, node);
          if (next < ways.length) tryNext();
        }, staggerMs);
        const dialled =
          way === last ? connect(way, ending.signal) : this.#tunnel(way, node, via, ending.signal);
        void dialled.then((result) => {
          running -= 1;
          if (ending.signal.aborted) {
            if (result.kind === 'connected') result.socket.destroy();
            return;
          }
          if (result.kind !== 'unreachable') {
            this.#passedOver.delete(way);
            if (result.kind === 'connected' && way !== last) this.#watch(result.socket, way, node);
            settle(result);
            return;
          }
          reasons.push(`${way}: ${result.reason}`);
          if (way !== last && result.answered !== true) this.#passOver(way, node);
          tryNext();
        });
      };
      const deadline = setTimeout(() => {
        settle({ kind: 'unreachable', reason: `no connection within ${deadlineMs} ms` });
      }, deadlineMs);
      tryNext();
    });
  }

  /** A connection over this way went silent: try others first until it responds. */
  suspect(way: string, node: Node): void {
    if (way !== nodeWay(node)) this.#passOver(way, node);
  }

  /**
   * Connections over this way made before `since`, by `performance.now()`, are dead. They are closed, including those
   * of other hosts, which would wait forever.
   */
  dead(way: string, since: number): void {
    for (const [socket, tunnel] of [...this.#tunnels]) {
      if (tunnel.way !== way || tunnel.at > since) continue;
      socket.destroy(Object.assign(new Error('the way hangs'), { code: 'ECONNRESET' }));
    }
  }

  #watch(socket: net.Socket, way: string, node: Node): void {
    const { bytesRead: read, bytesWritten: written } = socket;
    this.#tunnels.set(socket, { way, node, at: performance.now(), read, written, waits: false });
    this.#look ??= setInterval(() => this.#lookAtTunnels(), lookMs).unref();
    socket.once('close', () => {
      this.#tunnels.delete(socket);
      if (this.#tunnels.size > 0) return;
      clearInterval(this.#look);
      this.#look = undefined;
      this.#silences.clear();
    });
  }

  /**
   * A proxy that hangs accepts data and does not respond, like a slow Jupyter. So a way whose tunnels are all silent is
   * probed with a new tunnel. Each proxy probes only the next one, which probes the one behind it.
   */
  #lookAtTunnels(): void {
    const now = performance.now();
    const silent = new Map<string, { readonly node: Node; readonly waits: boolean }>();
    const alive = new Set<string>();
    for (const [socket, tunnel] of this.#tunnels) {
      const { bytesRead, bytesWritten } = socket;
      const { way, node } = tunnel;
      if (bytesRead !== tunnel.read) alive.add(way);
      const waited = tunnel.waits && bytesRead === tunnel.read;
      // Data received in the same interval may be the response to data sent in it.
      tunnel.waits = waited || (bytesRead === tunnel.read && bytesWritten !== tunnel.written);
      tunnel.read = bytesRead;
      tunnel.written = bytesWritten;
      silent.set(way, { node, waits: waited || (silent.get(way)?.waits ?? false) });
    }
    for (const way of alive) silent.delete(way);
    for (const way of [...this.#silences.keys()]) if (!silent.has(way)) this.#silences.delete(way);
    for (const [way, { node, waits }] of silent) {
      const silence = this.#silences.get(way) ?? {
        askAt: now + longestPauseMs,
        pauseMs: lookMs,
        urgent: false,
      };
      this.#silences.set(way, silence);
      if (waits && !silence.urgent) Object.assign(silence, { urgent: true, askAt: now });
      if (now < silence.askAt) continue;
      silence.pauseMs = Math.min(2 * silence.pauseMs, longestPauseMs);
      silence.askAt = now + silence.pauseMs + deadTunnelMs;
      void this.#ask(way, node);
    }
  }

  async #ask(way: string, node: Node): Promise<void> {
    const since = performance.now();
    const result = await this.#tunnel(way, node, [], AbortSignal.timeout(deadTunnelMs));
    if (result.kind === 'connected') result.socket.destroy();
    const tookMs = performance.now() - since;
    // Sooner: it responded or refused. Later: this process itself was delayed.
    const wasSilent = tookMs > 0.9 * deadTunnelMs && tookMs < 1.5 * deadTunnelMs;
    if (result.kind !== 'unreachable' || !wasSilent) return;
    this.#passOver(way, node);
    this.dead(way, since);
  }

  #toTry(node: Node, via: readonly string[] = []): readonly string[] {
    return waysToTry(node, { self: this.self, via, passedOver: new Set(this.#passedOver.keys()) });
  }

  #tunnel(way: string, node: Node, via: readonly string[], signal: AbortSignal): Promise<Dialled> {
    const authority = authorityOf(nodeWay(node));
    return tunnel(way, { authority, via: [...via, this.self], secrets: this.secrets }, signal);
  }

  #passOver(way: string, node: Node): void {
    this.#passedOver.set(way, node);
    this.#retry ??= setTimeout(() => void this.#tryAgain(), retryMs).unref();
  }

  async #tryAgain(): Promise<void> {
    await Promise.all(
      [...this.#passedOver].map(async ([way, node]) => {
        const begun = performance.now();
        const result = await this.#tunnel(way, node, [], AbortSignal.timeout(dialDeadlineMs));
        if (result.kind === 'connected') result.socket.destroy();
        if (result.kind === 'unreachable' && result.answered !== true) this.dead(way, begun);
        else this.#passedOver.delete(way);
      }),
    );
    this.#retry =
      this.#passedOver.size === 0 ? undefined : setTimeout(() => void this.#tryAgain(), retryMs).unref();
  }
}

function endpoint(way: string): { readonly host: string; readonly port: number } {
  const { hostname, port, protocol } = new URL(way);
  return { host: hostname, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) };
}

function connect(way: string, signal: AbortSignal): Promise<Dialled> {
  return new Promise((resolve) => {
    // Without keep-alive, a websocket to a machine that lost power would stay forever.
    const socket = net.connect({
      ...endpoint(way),
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 2_000,
    });
    const abort = (): void => void socket.destroy(new Error('given up'));
    signal.addEventListener('abort', abort);
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort);
      resolve({ kind: 'connected', socket, way });
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      signal.removeEventListener('abort', abort);
      resolve(
        error.code === 'ECONNREFUSED'
          ? { kind: 'refused' }
          : { kind: 'unreachable', reason: messageOf(error) },
      );
    });
  });
}

/**
 * A connection to the node's gate through another host's proxy (RFC 9110, 9.3.6). Over TLS that proxy proves that it is
 * of this cluster; until then nothing of a user is sent.
 */
function tunnel(
  way: string,
  {
    authority,
    via,
    secrets,
  }: { readonly authority: string; readonly via: readonly string[]; readonly secrets: readonly string[] },
  signal: AbortSignal,
): Promise<Dialled> {
  const isHttps = new URL(way).protocol === 'https:';
  return new Promise((resolve) => {
    const request = (isHttps ? https : http).request({
      ...endpoint(way),
      method: 'CONNECT',
      path: authority,
      headers: { host: authority, [viaHeader]: via.join(', ') },
      agent: false,
      // The certificate is for users, and names no address of a proxy.
      ...(isHttps && { rejectUnauthorized: false }),
      signal,
    });
    request.once('connect', (answer, socket: net.Socket) => {
      socket.on('error', () => socket.destroy());
      if (isHttps && answer.statusCode === 200) {
        const proof = String(answer.headers[proofHeader] ?? '');
        if (!isEncrypted(socket) || !secrets.some((secret) => isSameSecret(proof, proofOf(socket, secret)))) {
          socket.destroy();
          resolve({ kind: 'unreachable', reason: 'it does not prove that it is a proxy of this cluster' });
          return;
        }
      }
      if (answer.statusCode === 200) {
        socket.setNoDelay(true);
        socket.setKeepAlive(true, 2_000);
        resolve({ kind: 'connected', socket, way });
        return;
      }
      socket.destroy();
      const failure = answer.headers[tunnelHeader];
      resolve(
        failure === 'refused'
          ? { kind: 'refused' }
          : {
              kind: 'unreachable',
              reason: `status ${answer.statusCode}, ${String(failure ?? 'no proxy')}`,
              answered: failure === ('not-a-node' satisfies TunnelFailure),
            },
      );
    });
    request.once('response', (answer) => {
      answer.destroy();
      resolve({ kind: 'unreachable', reason: `status ${answer.statusCode}, no proxy` });
    });
    request.on('error', (error) => resolve({ kind: 'unreachable', reason: messageOf(error) }));
    request.end();
  });
}
