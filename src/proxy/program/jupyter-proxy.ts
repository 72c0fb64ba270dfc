import http, {
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { Socket } from 'node:net';
import { Readable, type Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { createProxyServer, type ServerOptions } from 'http-proxy-3';
import type { Logger } from 'pino';
import { Answers } from './answers.js';
import {
  dropHopByHop,
  hasConnectionOption,
  headBytes,
  headerLines,
  headWithoutUpgrade,
  ownPath,
  wantsPage,
  withSecureCookies,
} from './headers.js';
import { serveTunnel } from './hop.js';
import { isEncrypted } from './https.js';
import type { Destination, Kernels, Person } from './kernels/kernels.js';
import { bringsCredential, namedIn, type List, type Named } from './kernels/named.js';
import type { Router } from './router.js';
import { NotConnected, type Upstream } from './upstream.js';
import { statusPath } from './waiting.js';

export interface JupyterProxyOptions {
  readonly cluster: string;
  readonly host: string;
  readonly router: Router;
  readonly logger: Logger;
  /** The secret of this cluster's proxies: proves to another one that a tunnel ends here. */
  readonly secret: string;
  /** Absent: everything goes to the serving node. */
  readonly kernels?: Kernels | undefined;
  /** Present if the server serves HTTPS (`addHttps`): plain requests are redirected. */
  readonly https?: HttpsRules | undefined;
}

export interface HttpsRules {
  /** This proxy's address for requests that name none: `127.0.1.1:8888`. */
  readonly self: string;
  /** How long browsers remember to use HTTPS only; absent to not ask them. */
  readonly hstsSeconds?: number | undefined;
}

/**
 * How long a request waits for a gate. A failover takes an election and some tens of milliseconds more.
 * Browsers get the waiting page early, because it says more than a spinner. JupyterLab reconnects a refused
 * websocket only after 10 s to 30 s, and a 503 to one of its own requests opens a dialog that must be closed
 * by hand, so those wait longer.
 */
const patienceMs = { page: 1_000, script: 10_000, program: 2_000, websocket: 10_000 } as const;

/**
 * A page load without a response is aborted after this time if the node does not respond otherwise either.
 */
const pagePatienceMs = 5_000;

/** Error code of an aborted page load. */
const noAnswerCode = 'NO_ANSWER';

/** How often one request is sent to nodes with an open gate that do not respond. */
const maxAttempts = 4;

/** Between two attempts to reach the node that has a kernel. */
const doorRetryMs = 100;

/** In bytes. It names a notebook and a kernel. */
const longestCreation = 64 * 1024;

/** How long a lost request waits for the gate's reply: as long as a reply may take. */
const confirmMs = 500;

/** How long a client may take to read the response to an upload that Jupyter rejected early. */
const lingerMs = 5_000;

/** Tornado accepts 64 KiB of headers; `X-Forwarded-*` is omitted if it might exceed that. */
const roomyHeadBytes = 60 * 1024;

/** Errors of established connections. */
const lostCodes = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
]);

/** One request on its way to a node. */
interface Passage {
  readonly kind: keyof typeof patienceMs;
  /**
   * Whether it may be resent without a reply: it is read-only and has no body. Every other request gets a new
   * connection before its body is consumed, so that a kept connection that has just closed cannot lose it.
   */
  readonly repeatable: boolean;
  /** The client's headers, without hop-by-hop ones. */
  readonly headers: IncomingHttpHeaders;
  readonly client: ServerResponse | Duplex;
  attempts: number;
  upstream?: Upstream | undefined;
  socket?: Socket | undefined;
  request?: ClientRequest;
  /** For what belongs to one node, whoever serves: where it goes, found within `patienceMs`. */
  readonly find?: ((patienceMs: number) => Promise<Destination>) | undefined;
  /** The node that it went to, if not by the route. */
  node?: string | undefined;
  /** The whole body, which was read already, of a request that creates a kernel or a session. */
  readonly creation?: { readonly list: 'kernels' | 'sessions'; readonly body: Buffer };
}

type ProxyError = Error & { readonly code?: string };

/**
 * The HTTP proxy to Jupyter on one host: forwards everything to the router's current node. While there is
 * none, requests wait briefly; then browsers get a waiting page, and programs 503 with `Retry-After`.
 */
export class JupyterProxy {
  /** For users; the caller starts listening. */
  readonly server = http.createServer({
    keepAlive: true,
    keepAliveTimeout: 30_000,
    // As Jupyter does; Node.js would drop all but the first.
    joinDuplicateHeaders: true,
  });
  readonly #options: JupyterProxyOptions;
  readonly #answers: Answers;
  // Jupyter compares a websocket's Origin with Host: Host must stay as the browser sent it.
  readonly #proxy = createProxyServer({ changeOrigin: false });
  readonly #passages = new WeakMap<IncomingMessage, Passage>();
  /** The latest response on each connection. */
  readonly #responses = new WeakMap<Duplex, ServerResponse>();
  /** Client sockets already switched to the websocket protocol: no HTTP may be written to them. */
  readonly #upgraded = new WeakSet<Duplex>();
  #draining = false;

  constructor(options: JupyterProxyOptions) {
    const { logger, router, secret } = options;
    this.#options = options;
    this.#answers = new Answers(options);
    // An upload may take any time.
    this.server.requestTimeout = 0;
    // Their size is limited; beyond this count, Node.js would drop headers silently.
    this.server.maxHeadersCount = 0;
    this.server.on('request', (request, response) => this.#onRequest(request, response));
    this.server.on('upgrade', (request, socket, head) => this.#onUpgrade(request, socket, head));
    this.server.on('connect', (request, socket, head) => {
      const doors = options.kernels?.doors.nodes ?? [];
      const nodes = router.route && [...router.route.nodes, ...doors];
      void serveTunnel(request, socket, head, { nodes, ways: router.ways, secret });
    });
    this.#proxy.on('proxyReq', (upstream, request) => {
      const passage = this.#passages.get(request);
      if (passage) passage.request = upstream;
    });
    this.#proxy.on('proxyRes', (answer, request, response) => {
      dropHopByHop(answer.headers);
      if (isEncrypted(request.socket)) withSecureCookies(answer.headers);
      if (!request.complete) this.#answerEarly(request, answer);
      this.#learn(request, answer);
      // A truncated response must not look complete.
      answer.once('close', () => {
        if (!answer.complete) response.destroy();
      });
    });
    this.#proxy.on('proxyReqWs', (upstream, _request, socket) => this.#watchUpgrade(upstream, socket));
    // A broken client socket needs no handling, but an unhandled error event ends the process.
    this.#proxy.on('error', (error) => logger.debug({ err: error }, 'a connection was lost'));
  }

  /** From now on each connection ends after its next response. */
  drain(): void {
    this.#draining = true;
  }

  // --- requests -------------------------------------------------------------------------------------------

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const { headers, method = 'GET' } = request;
    this.#responses.set(request.socket, response);
    if (this.#draining) response.setHeader('connection', 'close');
    if (hasTwoHosts(request)) {
      this.#answers.twoHosts(response);
      return;
    }
    const { https } = this.#options;
    if (https !== undefined && !isEncrypted(request.socket)) {
      this.#answers.toHttps(request, response, https.self);
      return;
    }
    if (https?.hstsSeconds !== undefined) {
      response.setHeader('strict-transport-security', `max-age=${https.hstsSeconds}`);
    }
    const own = ownPath(request.url ?? '/');
    if (own !== undefined) {
      if (own === statusPath) void this.#answers.status(response);
      else this.#answers.notFound(response);
      return;
    }
    if ((method === 'DELETE' || method === 'OPTIONS') && headers['transfer-encoding'] !== undefined) {
      // http-proxy-3 treats such a body as empty, and would forward it as the start of a second request.
      this.#answers.lengthRequired(response, method);
      return;
    }
    const close =
      this.#draining ||
      hasConnectionOption(headers, 'close') ||
      (request.httpVersion === '1.0' && !hasConnectionOption(headers, 'keep-alive'));
    dropHopByHop(headers);
    headers.connection = close ? 'close' : 'keep-alive';
    // This server has already sent `100 Continue`.
    delete headers.expect;
    const bodiless =
      headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
    const named = this.#named(request);
    const passage: Passage = {
      kind: kindOf(request),
      repeatable: bodiless && (method === 'GET' || method === 'HEAD'),
      headers: { ...headers },
      client: response,
      attempts: 0,
      find: this.#finder(named, request, response),
    };
    this.#passages.set(request, passage);
    if (passage.kind === 'page') this.#watchPage(passage, response);
    if (named?.kind === 'list' && bodiless) void this.#passList(named.list, passage, request, response);
    else if (named?.kind === 'creation' && isSmall(headers)) {
      void this.#passCreation(named.list, passage, request, response);
    } else void this.#pass(passage, request, response);
  }

  // --- kernels --------------------------------------------------------------------------------------------

  /** A stranger's request goes to the serving node alone, which refuses it. */
  #named({ method = 'GET', url = '/', headers }: IncomingMessage): Named | undefined {
    return this.#options.kernels && bringsCredential(headers, url) ? namedIn(method, url) : undefined;
  }

  #finder(named: Named | undefined, request: IncomingMessage, client: Passage['client']): Passage['find'] {
    const { kernels } = this.#options;
    if (kernels === undefined || named?.kind !== 'item') return undefined;
    const person = personOf(request, client);
    return (patienceMs) => kernels.find(named, person, patienceMs);
  }

  async #passList(
    list: List,
    passage: Passage,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    try {
      const answer = await this.#options.kernels?.list(list, personOf(request, response));
      if (response.destroyed) return;
      if (answer !== undefined) {
        this.#answers.list(request, response, answer);
        return;
      }
    } catch (error) {
      this.#logBug(error, request);
    }
    await this.#pass(passage, request, response);
  }

  /** The body is small, and is read first: who else has the notebook open decides where it goes. */
  async #passCreation(
    list: 'kernels' | 'sessions',
    passage: Passage,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { kernels } = this.#options;
    let body: Buffer;
    try {
      body = await buffer(request);
    } catch {
      response.destroy();
      return;
    }
    const person = personOf(request, response);
    const whole: Passage = {
      ...passage,
      creation: { list, body },
      find: kernels && ((patienceMs) => kernels.place(list, body.toString(), person, patienceMs)),
    };
    this.#passages.set(request, whole);
    if (list === 'sessions') response.once('close', () => kernels?.placed(body.toString()));
    await this.#pass(whole, request, response);
  }

  #learn(request: IncomingMessage, answer: IncomingMessage): void {
    const { node, creation } = this.#passages.get(request) ?? {};
    if (node === undefined || creation === undefined || answer.statusCode !== 201) return;
    const chunks: Buffer[] = [];
    answer.on('data', (chunk: Buffer) => chunks.push(chunk));
    answer.once('end', () => {
      this.#options.kernels?.learn(creation.list, node, Buffer.concat(chunks).toString());
    });
  }

  // --- to a node ------------------------------------------------------------------------------------------

  async #pass(passage: Passage, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const failed = (error?: ProxyError): void => this.#onFailure(passage, request, response, error);
    try {
      const upstream = await this.#admit(passage);
      if (upstream) this.#proxy.web(request, response, targetOf(passage, request, upstream), failed);
      else failed();
    } catch (error) {
      this.#logBug(error, request);
      failed();
    }
  }

  #onFailure(passage: Passage, request: IncomingMessage, response: ServerResponse, error?: ProxyError): void {
    // Jupyter responded before it had read the whole request.
    if (response.writableEnded) return;
    if (response.headersSent || response.destroyed) {
      // A truncated response must not look complete.
      response.destroy();
      return;
    }
    void this.#afterFailure(passage, request, response, error);
  }

  async #afterFailure(
    passage: Passage,
    request: IncomingMessage,
    response: ServerResponse,
    error?: ProxyError,
  ): Promise<void> {
    const { upstream, kind, repeatable } = passage;
    const { lost, serves } = await this.#noteFailure(passage, request, error);
    if (response.headersSent || response.destroyed) return;
    const moved = upstream !== undefined && !this.#options.router.serves(upstream);
    if (repeatable && (lost || moved) && passage.attempts < maxAttempts) {
      // No part of a response has arrived: send it again, to the gate that is open now.
      request.headers = { ...passage.headers };
      await this.#pass(passage, request, response);
    } else if (serves && kind !== 'page') {
      this.#answers.noAnswer(request, response);
    } else if (passage.find !== undefined && this.#options.router.passable !== undefined) {
      this.#answers.nodeUnreachable(request, response);
    } else {
      this.#answers.waiting(request, response);
    }
  }

  /**
   * Handles a response that arrives while the client still sends, as to a request that is too large: passes it on and
   * discards the rest of the request. Closing the connection with unread data would reset it and might lose the response.
   */
  #answerEarly(request: IncomingMessage, answer: IncomingMessage): void {
    const { socket } = request;
    const close = hasConnectionOption(request.headers, 'close');
    // Otherwise Node.js would close the connection after the response.
    if (request.httpVersion !== '1.0') request.headers.connection = 'keep-alive';
    answer.once('end', () => {
      if (request.complete) return;
      const upstream = this.#passages.get(request)?.request;
      request.unpipe();
      upstream?.destroy();
      request.resume();
      const timer = setTimeout(() => socket.destroy(), lingerMs);
      request.once('close', () => {
        clearTimeout(timer);
        if (close) socket.end();
      });
    });
  }

  /** Aborts a page load when its node does not respond at all; a slow page may continue. */
  #watchPage(passage: Passage, response: ServerResponse): void {
    const check = async () => {
      const { upstream, request: asked } = passage;
      if (response.headersSent || response.destroyed) return;
      const goesOn = !upstream || !asked || (await upstream.answers());
      if (goesOn || response.headersSent || passage.request !== asked) {
        timer = setTimeout(() => void check(), pagePatienceMs);
        return;
      }
      const error = new Error(`no response within ${pagePatienceMs} ms`);
      asked.destroy(Object.assign(error, { code: noAnswerCode }));
    };
    let timer = setTimeout(() => void check(), pagePatienceMs);
    response.once('close', () => clearTimeout(timer));
  }

  // --- websockets -----------------------------------------------------------------------------------------

  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (request.method !== 'GET' || request.headers.upgrade?.toLowerCase() !== 'websocket') {
      this.#withoutUpgrade(request, socket, head);
      return;
    }
    // Until a gate opens there is no other listener, and an unhandled error event ends the process.
    socket.on('error', () => socket.destroy());
    const { https } = this.#options;
    if (hasTwoHosts(request)) {
      this.#answers.twoHostsOfWebsocket(socket);
    } else if (https !== undefined && !isEncrypted(socket)) {
      this.#answers.toHttpsForWebsocket(request, socket, https.self);
    } else if (ownPath(request.url ?? '/') !== undefined) {
      this.#answers.noWebsocket(socket);
    } else {
      const { headers } = request;
      const passage: Passage = {
        ...{ kind: 'websocket', repeatable: false, headers: { ...headers }, client: socket, attempts: 0 },
        find: this.#finder(this.#named(request), request, socket),
      };
      void this.#passWebsocket(passage, request, socket, head);
    }
  }

  /**
   * Ignores an upgrade to any other protocol, as Jupyter does. Node.js has already released the connection without
   * reading the body, so the server receives the same bytes again.
   */
  #withoutUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const again = (): void => {
      if (socket.destroyed) return;
      socket.unshift(Buffer.concat([Buffer.from(headWithoutUpgrade(request), 'latin1'), head]));
      this.server.emit('connection', socket);
    };
    const before = this.#responses.get(socket);
    // A pipelined request waits for the response before it.
    if (before === undefined || before.closed) again();
    else before.once('close', again);
  }

  async #passWebsocket(
    passage: Passage,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
  ): Promise<void> {
    const failed = (error?: ProxyError): void => {
      if (this.#upgraded.has(socket)) {
        socket.destroy();
        return;
      }
      void this.#noteFailure(passage, request, error).then(({ serves }) => {
        if (serves) this.#answers.noAnswerForWebsocket(socket);
        else this.#answers.refuseWebsocket(socket);
      });
    };
    try {
      const upstream = await this.#admit(passage);
      if (upstream) this.#proxy.ws(request, socket, head, targetOf(passage, request, upstream), failed);
      else failed();
    } catch (error) {
      this.#logBug(error, request);
      failed();
    }
  }

  #watchUpgrade(upstream: ClientRequest, socket: Duplex): void {
    upstream.once('upgrade', () => this.#upgraded.add(socket));
    upstream.once('response', (answer) => {
      answer.once('close', () => {
        if (!answer.complete) socket.destroy();
      });
    });
    socket.once('close', () => upstream.destroy());
  }

  // --- shared ---------------------------------------------------------------------------------------------

  /** The node for the request; undefined when its time limit expires or the client has disconnected. */
  async #admit(passage: Passage): Promise<Upstream | undefined> {
    const until = performance.now() + patienceMs[passage.kind];
    passage.upstream = undefined;
    passage.socket = undefined;
    while (passage.attempts < maxAttempts) {
      passage.attempts += 1;
      const upstream = await this.#nextHop(passage, Math.max(0, until - performance.now()));
      if (!upstream || passage.client.destroyed) return undefined;
      passage.upstream = upstream;
      if (passage.repeatable && passage.node === undefined) return upstream;
      try {
        passage.socket = await upstream.connect();
        if (!passage.client.destroyed) return upstream;
        passage.socket.destroy();
        return undefined;
      } catch (error) {
        if (!(error instanceof NotConnected)) throw error;
        if (passage.node === undefined) {
          this.#options.router.doubt(upstream);
          continue;
        }
        passage.attempts -= 1;
        if (performance.now() + doorRetryMs > until) return undefined;
        await delay(doorRetryMs);
      }
    }
    return undefined;
  }

  /** Where to send it now: to the node that has what it names, or to the serving one. */
  async #nextHop(passage: Passage, leftMs: number): Promise<Upstream | undefined> {
    const destination = await passage.find?.(leftMs);
    passage.node = destination?.kind === 'node' ? destination.node : undefined;
    if (destination?.kind === 'node') return destination.upstream;
    if (destination?.kind === 'not-known') return undefined;
    return this.#options.router.admit(leftMs, passage.client);
  }

  /**
   * An unreachable gate is in doubt. A request lost behind an open gate is no reason for doubt: Jupyter may have
   * refused this request. The gate is polled instead; `serves`: the node still serves with an open gate.
   */
  async #noteFailure(
    { upstream, client }: Passage,
    request: IncomingMessage,
    error: ProxyError | undefined,
  ): Promise<{ readonly lost: boolean; readonly serves: boolean }> {
    const { logger, router } = this.#options;
    logger.debug({ err: error, url: pathOf(request) }, 'a request could not be forwarded');
    if (upstream === undefined || error === undefined) return { lost: false, serves: false };
    if (error instanceof NotConnected) {
      router.doubt(upstream);
      return { lost: true, serves: false };
    }
    if (error.code === noAnswerCode) return { lost: false, serves: false };
    // Other idle connections may be closed, too.
    upstream.dropIdle();
    const serves = await router.confirm(upstream, confirmMs, client);
    return { lost: error.code !== undefined && lostCodes.has(error.code), serves };
  }

  #logBug(error: unknown, request: IncomingMessage): void {
    this.#options.logger.error({ err: error, url: pathOf(request) }, 'a request failed in the proxy');
  }
}

/** The library's target and connection for the request. */
function targetOf(
  { kind, socket, creation }: Passage,
  request: IncomingMessage,
  upstream: Upstream,
): ServerOptions {
  const common = {
    target: upstream.address,
    xfwd: headBytes(request) < roomyHeadBytes,
    ...(creation && { buffer: Readable.from([creation.body]) }),
  };
  if (!socket) return { ...common, agent: upstream.agent };
  const options = { ...common, agent: upstream.agentFor(socket) };
  return kind === 'websocket' ? options : { ...options, headers: { connection: 'close' } };
}

function personOf({ url = '/', headers }: IncomingMessage, client: Passage['client']): Person {
  return { url, headers: { ...headers }, client };
}

/** Whether a body is known to be small enough to be read first. */
function isSmall(headers: IncomingHttpHeaders): boolean {
  const length = Number(headers['content-length'] ?? NaN);
  return headers['transfer-encoding'] === undefined && length > 0 && length <= longestCreation;
}

/** Jupyter rejects that; Node.js uses the first. */
function hasTwoHosts(request: IncomingMessage): boolean {
  return headerLines(request).filter(([name]) => name.toLowerCase() === 'host').length > 1;
}

/** Scripts of an open page send the login cookies; programs send the token. */
function kindOf({ method, url = '/', headers }: IncomingMessage): 'page' | 'script' | 'program' {
  if (method === 'GET' && wantsPage(url, headers)) return 'page';
  return headers.cookie === undefined ? 'program' : 'script';
}

/** Without the query, which may contain a token. */
function pathOf({ url }: IncomingMessage): string | undefined {
  return url?.split('?', 1)[0];
}
