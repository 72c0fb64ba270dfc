import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { dropHopByHop, httpsAddress, wantsPage, withSecureCookies } from './headers.js';
import { isEncrypted } from './https.js';
import type { Answer } from './kernels/door.js';
import type { Router } from './router.js';
import { waitingPage } from './waiting-page.js';
import { retryAfterSeconds, waitingAnswer, type WaitingAnswer, type WaitingStatus } from './waiting.js';

export interface AnswersOptions {
  readonly cluster: string;
  readonly host: string;
  readonly router: Pick<Router, 'answers' | 'waiting'>;
}

const notFound = { code: 'NOT_FOUND', message: 'Not found.' };
const twoHosts = { code: 'BAD_REQUEST', message: 'More than one Host header.' };
const needsHttps = { code: 'HTTPS_ONLY', message: 'This port serves HTTPS.' };
const nodeUnreachable = {
  code: 'NODE_UNREACHABLE',
  message: 'The node that this belongs to does not answer at the moment.',
};
const noAnswer = {
  code: 'NO_RESPONSE',
  message: 'Jupyter closed the connection without a response, or with one that could not be read.',
};

/** Responses of the proxy itself, in place of Jupyter. */
export class Answers {
  constructor(private readonly options: AnswersOptions) {}

  /** For the waiting page, which polls until Jupyter is available. */
  async status(response: ServerResponse): Promise<void> {
    const ready = await this.options.router.answers();
    const status: WaitingStatus = ready ? { ready } : { ready: false, ...this.#waiting() };
    sendJson(response, 200, status);
  }

  notFound(response: ServerResponse): void {
    sendJson(response, 404, notFound);
  }

  lengthRequired(response: ServerResponse, method: string): void {
    sendJson(response, 411, { code: 'LENGTH_REQUIRED', message: `${method} requires Content-Length.` });
  }

  /** 503: an HTML page for browsers, JSON for programs. */
  waiting(request: IncomingMessage, response: ServerResponse): void {
    request.unpipe();
    request.resume();
    response.setHeader('retry-after', String(retryAfterSeconds));
    // Do not wait for the rest of an upload.
    if (!request.complete) response.setHeader('connection', 'close');
    if (!wantsPage(request.url ?? '/', request.headers)) {
      sendJson(response, 503, this.#waiting());
      return;
    }
    const nonce = randomBytes(16).toString('base64');
    const page = waitingPage(this.options.router.waiting, this.options, request.method ?? 'GET', nonce);
    response.writeHead(503, { ...page.headers, 'cache-control': 'no-store' });
    response.end(page.html);
  }

  /** 308, with the same method and body, to the same address over HTTPS. */
  toHttps(request: IncomingMessage, response: ServerResponse, self: string): void {
    request.resume();
    if (!request.complete) response.setHeader('connection', 'close');
    // Not to be kept: whoever turns HTTPS off would find browsers that never ask over HTTP again.
    response.writeHead(308, { location: httpsAddress(request, self), 'cache-control': 'no-store' });
    response.end();
  }

  toHttpsForWebsocket(request: IncomingMessage, socket: Duplex, self: string): void {
    sendToSocket(socket, '308 Permanent Redirect', needsHttps, [
      `Location: ${httpsAddress(request, self)}`,
      'Cache-Control: no-store',
    ]);
  }

  twoHosts(response: ServerResponse): void {
    response.setHeader('connection', 'close');
    sendJson(response, 400, twoHosts);
  }

  twoHostsOfWebsocket(socket: Duplex): void {
    sendToSocket(socket, '400 Bad Request', twoHosts);
  }

  /** 502: the node serves, but its Jupyter did not respond to this request. */
  noAnswer(request: IncomingMessage, response: ServerResponse): void {
    request.unpipe();
    request.resume();
    if (!request.complete) response.setHeader('connection', 'close');
    sendJson(response, 502, noAnswer);
  }

  /** 503: the node that has what the request names does not answer, while another one serves. */
  nodeUnreachable(request: IncomingMessage, response: ServerResponse): void {
    request.unpipe();
    request.resume();
    response.setHeader('retry-after', String(retryAfterSeconds));
    if (!request.complete) response.setHeader('connection', 'close');
    sendJson(response, 503, nodeUnreachable);
  }

  /** A list of all nodes, in place of one node's. */
  list(request: IncomingMessage, response: ServerResponse, { status, headers, body }: Answer): void {
    const own = { ...headers };
    dropHopByHop(own);
    for (const name of ['content-length', 'content-encoding', 'transfer-encoding', 'etag', 'last-modified']) {
      delete own[name];
    }
    if (isEncrypted(request.socket)) withSecureCookies(own);
    response.writeHead(status, { ...own, 'content-length': body.length });
    response.end(body);
  }

  noAnswerForWebsocket(socket: Duplex): void {
    sendToSocket(socket, '502 Bad Gateway', noAnswer);
  }

  noWebsocket(socket: Duplex): void {
    sendToSocket(socket, '404 Not Found', notFound);
  }

  refuseWebsocket(socket: Duplex): void {
    sendToSocket(socket, '503 Service Unavailable', this.#waiting(), [`Retry-After: ${retryAfterSeconds}`]);
  }

  #waiting(): WaitingAnswer {
    return waitingAnswer(this.options.router.waiting, new Date());
  }
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

function sendToSocket(socket: Duplex, status: string, body: object, headers: readonly string[] = []): void {
  if (socket.destroyed || socket.writableEnded) return;
  const text = JSON.stringify(body);
  socket.end(
    [
      `HTTP/1.1 ${status}`,
      ...headers,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(text)}`,
      'Connection: close',
      '',
      text,
    ].join('\r\n'),
  );
}
