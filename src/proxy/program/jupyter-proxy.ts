import { randomBytes } from 'node:crypto';
import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ConfigurableProxy } from 'configurable-http-proxy';
import type { Logger } from 'pino';
import { dropHopByHop, hasConnectionOption, ownPath, wantsPage } from './headers.js';
import { serveTunnel } from './hop.js';
import type { Router } from './router.js';
import { NotConnected, type Upstream } from './upstream.js';
import { waitingPage } from './waiting-page.js';
import { retryAfterSeconds, statusPath, waitingAnswer, type WaitingStatus } from './waiting.js';

export interface JupyterProxyOptions {
  readonly cluster: string;
  readonly host: string;
  readonly router: Router;
  readonly logger: Logger;
}

/**
 * How long a request waits for a gate. A failover takes an election and some tens of milliseconds more. People
 * get the waiting page soon, which tells more than a browser that turns. JupyterLab asks again some 10 s to
 * 30 s after a websocket that was refused, and shows a dialog that must be closed by hand as soon as one of its
 * own requests is answered with 503, so it is worth waiting longer with those.
 */
const patienceMs = { page: 1_000, script: 10_000, program: 2_000, websocket: 10_000 } as const;

/** A page that got no answer for this long is given up when the node answers nothing else either. */
const pagePatienceMs = 5_000;

/** How often one request is sent to nodes whose gate is open, and that then do not answer it. */
const maxAttempts = 4;

const silentCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
]);

const ignore = (): void => undefined;

/** What is known of one request on its way. */
interface Passage {
  readonly kind: keyof typeof patienceMs;
  /**
   * Whether it may be sent again when no answer came: it reads only, and has no body. Others get a connection of
   * their own before anything of them is consumed, so that one which was closed meanwhile cannot lose them.
   */
  readonly repeatable: boolean;
  readonly headers: IncomingHttpHeaders;
  readonly client: ServerResponse | Duplex;
  attempts: number;
  upstream?: Upstream | undefined;
  socket?: Socket;
  request?: ClientRequest;
}

/**
 * The way to Jupyter through one host: everything goes to the node that the router names. While there is none,
 * requests wait for a short time; after it people get a waiting page, and programs 503 with `Retry-After`.
 */
export class JupyterProxy extends ConfigurableProxy {
  readonly #options: JupyterProxyOptions;
  readonly #passages = new WeakMap<IncomingMessage, Passage>();
  /** Those that the library is about to ask options for, by the fragment of their target. */
  readonly #leaving = new Map<string, Passage>();
  #count = 0;
  /** Client sockets that speak the websocket protocol by now: no HTTP may be written to them. */
  readonly #upgraded = new WeakSet<Duplex>();

  constructor(options: JupyterProxyOptions) {
    const { logger, router } = options;
    super({
      // The library logs each request and each failure; what matters is logged by the router, once per change.
      log: { debug: ignore, info: ignore, warn: ignore, error: ignore },
      xfwd: true,
      // Jupyter compares the Origin of a websocket with Host: it must stay what the browser sent.
      changeOrigin: false,
      keepAliveTimeout: 30_000,
    });
    this.#options = options;
    // An upload takes as long as it takes.
    this.proxyServer.requestTimeout = 0;
    this.proxyServer.on('connect', (request, socket, head) => {
      void serveTunnel(request, socket, head, router.route?.nodes, router.ways);
    });
    this.proxy.on('proxyReq', (upstream, request) => {
      const passage = this.#passages.get(request);
      if (passage) passage.request = upstream;
    });
    this.proxy.on('proxyRes', (answer, request, response) => this.#onAnswer(answer, request, response));
    this.proxy.on('proxyReqWs', (upstream, _request, socket) => this.#onUpgrade(upstream, socket));
    // Client sockets that break: nothing is left to be done, but an unheard event would end the process.
    this.proxy.on('error', (error) => logger.debug({ err: error }, 'a connection was lost'));
  }

  // --- what the library asks ------------------------------------------------------------------------------

  override async targetForReq(
    request: IncomingMessage,
  ): Promise<{ prefix: string; target: string } | undefined> {
    const passage = this.#passages.get(request);
    const upstream = passage && (await this.#admit(passage));
    if (!upstream) return undefined;
    this.#count += 1;
    const key = `#${this.#count}`;
    this.#leaving.set(key, passage);
    return { prefix: '/', target: `${upstream.address.href}${key}` };
  }

  override proxyOptsForTarget(target: URL): {
    target: URL;
    secure: boolean;
    agent: Agent;
    headers?: IncomingHttpHeaders;
  } {
    const passage = this.#leaving.get(target.hash);
    this.#leaving.delete(target.hash);
    if (!passage?.upstream) throw new Error('a request without a passage');
    const { upstream, socket, kind } = passage;
    const options = { target: upstream.address, secure: false };
    if (!socket) return { ...options, agent: upstream.agent };
    return {
      ...options,
      agent: upstream.agentFor(socket),
      ...(kind !== 'websocket' && { headers: { connection: 'close' } }),
    };
  }

  override async updateLastActivity(): Promise<void> {
    // Nothing here reads it, and the library writes it for each piece of data.
  }

  override handleProxyWeb(request: IncomingMessage, response: ServerResponse): Promise<void> | undefined {
    const { headers, method = 'GET' } = request;
    const own = ownPath(request.url ?? '/');
    if (own === statusPath) return this.#answerStatus(response);
    if (own !== undefined) {
      answerJson(response, 404, { code: 'NOT_FOUND', message: 'Not found.' });
      return undefined;
    }
    if ((method === 'DELETE' || method === 'OPTIONS') && headers['transfer-encoding'] !== undefined) {
      // http-proxy-3 takes such a body for empty, and would send it on as the head of a second request.
      answerJson(response, 411, { code: 'LENGTH_REQUIRED', message: `${method} requires Content-Length.` });
      return undefined;
    }
    const close =
      hasConnectionOption(headers, 'close') ||
      (request.httpVersion === '1.0' && !hasConnectionOption(headers, 'keep-alive'));
    dropHopByHop(headers);
    headers.connection = close ? 'close' : 'keep-alive';
    // This server has said `100 Continue` already.
    delete headers.expect;
    const bodiless =
      headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
    const passage: Passage = {
      kind: kindOf(request),
      repeatable: bodiless && (method === 'GET' || method === 'HEAD'),
      headers: { ...headers },
      client: response,
      attempts: 0,
    };
    this.#passages.set(request, passage);
    if (passage.kind === 'page') this.#watchPage(passage, response);
    return super.handleProxyWeb(request, response);
  }

  override handleProxyWs(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> | undefined {
    // While it waits for a gate nobody else listens, and an unheard error would end the process.
    socket.on('error', () => socket.destroy());
    if (request.method !== 'GET' || request.headers.upgrade?.toLowerCase() !== 'websocket') {
      answerSocket(socket, '400 Bad Request', {
        code: 'BAD_UPGRADE',
        message: 'Only websockets are supported.',
      });
      return undefined;
    }
    if (ownPath(request.url ?? '/') !== undefined) {
      answerSocket(socket, '404 Not Found', {
        code: 'NOT_FOUND',
        message: 'Not found.',
      });
      return undefined;
    }
    this.#passages.set(request, {
      kind: 'websocket',
      repeatable: false,
      headers: request.headers,
      client: socket,
      attempts: 0,
    });
    return super.handleProxyWs(request, socket, head);
  }

  override handleProxyError(
    code: number,
    kind: 'web' | 'ws',
    request: IncomingMessage,
    response: ServerResponse | Duplex,
    error?: Error & { readonly code?: string },
  ): void {
    const { logger, router } = this.#options;
    const passage = this.#passages.get(request);
    const url = request.url?.split('?', 1)[0];
    if (code === 500) logger.error({ err: error, url }, 'a request failed in the proxy');
    else logger.debug({ err: error, url }, 'a request could not be forwarded');
    if (this.#upgraded.has(response as Duplex)) {
      (response as Duplex).destroy();
      return;
    }
    const lost = error?.code !== undefined && silentCodes.has(error.code);
    if (passage?.upstream && lost) router.doubt(passage.upstream);
    if (kind === 'ws') {
      answerSocket(response as Duplex, '503 Service Unavailable', this.#answer());
      return;
    }
    const answer = response as ServerResponse;
    if (answer.headersSent || answer.destroyed) {
      // Half an answer must not look like a whole one.
      answer.destroy();
      return;
    }
    const moved = passage?.upstream !== undefined && !router.serves(passage.upstream);
    if (passage?.repeatable && (lost || moved) && passage.attempts < maxAttempts) {
      // Nothing of an answer was seen: ask again, where the gate is open now.
      request.headers = { ...passage.headers };
      void super.handleProxyWeb(request, answer);
      return;
    }
    this.#answerWaiting(request, answer);
  }

  // --- answers --------------------------------------------------------------------------------------------

  /** The node that the request goes to; undefined when its patience is over, or the client has gone. */
  async #admit(passage: Passage): Promise<Upstream | undefined> {
    const { router } = this.#options;
    const until = performance.now() + patienceMs[passage.kind];
    passage.upstream = undefined;
    while (passage.attempts < maxAttempts) {
      passage.attempts += 1;
      const upstream = await router.admit(Math.max(0, until - performance.now()), passage.client);
      if (!upstream || passage.client.destroyed) return undefined;
      passage.upstream = upstream;
      if (passage.repeatable) return upstream;
      try {
        passage.socket = await upstream.connect();
        if (!passage.client.destroyed) return upstream;
        passage.socket.destroy();
        return undefined;
      } catch (error) {
        if (!(error instanceof NotConnected)) throw error;
        router.doubt(upstream);
      }
    }
    return undefined;
  }

  #onAnswer(answer: IncomingMessage, _request: IncomingMessage, response: ServerResponse): void {
    dropHopByHop(answer.headers);
    answer.once('close', () => {
      if (!answer.complete) response.destroy();
    });
  }

  #onUpgrade(upstream: ClientRequest, socket: Duplex): void {
    upstream.once('upgrade', () => this.#upgraded.add(socket));
    upstream.once('response', (answer) => {
      answer.once('close', () => {
        if (!answer.complete) socket.destroy();
      });
    });
    socket.once('close', () => upstream.destroy());
  }

  /** Gives up a page load whose node answers neither it nor anything else; a slow page may go on. */
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
      asked.destroy(Object.assign(error, { code: 'NO_ANSWER' }));
    };
    let timer = setTimeout(() => void check(), pagePatienceMs);
    response.once('close', () => clearTimeout(timer));
  }

  #answer() {
    return waitingAnswer(this.#options.router.waiting, new Date());
  }

  #answerWaiting(request: IncomingMessage, response: ServerResponse): void {
    request.unpipe();
    request.resume();
    response.setHeader('retry-after', String(retryAfterSeconds));
    // The rest of an upload is not waited for.
    if (!request.complete) response.setHeader('connection', 'close');
    if (!wantsPage(request.url ?? '/', request.headers)) {
      answerJson(response, 503, this.#answer());
      return;
    }
    const nonce = randomBytes(16).toString('base64');
    const page = waitingPage(this.#options.router.waiting, this.#options, request.method ?? 'GET', nonce);
    response.writeHead(503, { ...page.headers, 'cache-control': 'no-store' });
    response.end(page.html);
  }

  async #answerStatus(response: ServerResponse): Promise<void> {
    const ready = await this.#options.router.answers();
    const status: WaitingStatus = ready ? { ready } : { ready: false, ...this.#answer() };
    answerJson(response, 200, status);
  }
}

/** The scripts of an open page send the cookies of its login, and programs the token. */
function kindOf({ method, url = '/', headers }: IncomingMessage): 'page' | 'script' | 'program' {
  if (method === 'GET' && wantsPage(url, headers)) return 'page';
  return headers.cookie === undefined ? 'program' : 'script';
}

function answerJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

function answerSocket(socket: Duplex, status: string, body: object): void {
  if (socket.destroyed || socket.writableEnded) return;
  const text = JSON.stringify(body);
  socket.end(
    [
      `HTTP/1.1 ${status}`,
      `Retry-After: ${retryAfterSeconds}`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(text)}`,
      'Connection: close',
      '',
      text,
    ].join('\r\n'),
  );
}
