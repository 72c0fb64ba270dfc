import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import https from 'node:https';
import { messageOf } from '../errors/error.js';
import { escapeHtml } from '../net/html.js';
import { admit, type Admission, type Door } from './access.js';
import type { Feed } from './feed.js';
import { heartbeat, retryAfter } from './sse.js';

/** A file of the page. */
export interface PageFile {
  readonly type: string;
  readonly body: Buffer;
}

/** Answers a path below `/api`, or `/metrics`. */
export type Answer = () => Promise<{ readonly type: string; readonly body: string }>;

export interface PageServerOptions {
  readonly feed: Pick<Feed<unknown>, 'subscribe'>;
  /** By path. `/` is the page. */
  readonly files: Readonly<Record<string, PageFile>>;
  /** By path. */
  readonly answers: Readonly<Record<string, Answer>>;
  /** Serves HTTPS: a certificate with its chain, and its key, as PEM. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly heartbeatMs?: number;
}

/** A viewer that does not read is let go: it connects again, and gets the newest. */
const longestBacklogBytes = 4 * 2 ** 20;
const reconnectMs = 1_000;

const headers = {
  'content-security-policy': [
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'",
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ].join('; '),
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

/**
 * The status page, for whoever `admit` lets in. Only reads: no request changes anything. The caller starts listening, and
 * `door` is asked for each request, as the port may be known only then.
 */
export function createPageServer(options: PageServerOptions, door: () => Door): Server {
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url = '' } = request;
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    const admission = admit(door(), { method, url, headers: request.headers });
    if (admission.kind !== 'admitted') return turnAway(response, admission);
    respond(options, request, response).catch((error: unknown) => {
      send(response, 503, 'application/json', `${JSON.stringify({ message: messageOf(error) })}\n`);
    });
  };
  const limits = { requestTimeout: 10_000 };
  return options.tls === undefined
    ? http.createServer(limits, listener)
    : https.createServer({ ...limits, ...options.tls, minVersion: 'TLSv1.2' }, listener);
}

async function respond(
  { feed, files, answers, heartbeatMs = 15_000 }: PageServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://page');
  const file = Object.hasOwn(files, pathname) ? files[pathname] : undefined;
  if (file !== undefined) return send(response, 200, file.type, file.body);
  if (pathname === '/api/events') return follow(feed, heartbeatMs, request, response);
  const answer = Object.hasOwn(answers, pathname) ? answers[pathname] : undefined;
  if (answer === undefined)
    return send(response, 404, 'text/plain; charset=utf-8', 'There is no such page.\n');
  const { type, body } = await answer();
  send(response, 200, type, body);
}

function follow(
  feed: PageServerOptions['feed'],
  heartbeatMs: number,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
  if (request.method === 'HEAD') return void response.end();
  response.write(retryAfter(reconnectMs));
  const write = (text: string) => {
    if (response.writableLength > longestBacklogBytes) response.destroy();
    else response.write(text);
  };
  const last = request.headers['last-event-id'];
  const beat = setInterval(() => write(heartbeat), heartbeatMs);
  const leave = feed.subscribe(write, typeof last === 'string' ? last : undefined);
  response.once('close', () => {
    clearInterval(beat);
    leave();
  });
}

function turnAway(
  response: ServerResponse,
  admission: Exclude<Admission, { readonly kind: 'admitted' }>,
): void {
  switch (admission.kind) {
    case 'login':
      response.setHeader('set-cookie', admission.cookie);
      response.setHeader('location', admission.location);
      return send(response, 303, 'text/plain; charset=utf-8', '');
    case 'again':
      return send(response, 200, html, page('Perijove', '<meta http-equiv="refresh" content="0">', ''));
    case 'refused': {
      if (admission.status === 405) response.setHeader('allow', 'GET, HEAD');
      const how = '<p>Run <code>perijove open status</code>, which opens it with a token.</p>';
      const text = admission.status === 401 ? how : '';
      return send(response, admission.status, html, page(`This page is closed: ${admission.why}`, '', text));
    }
  }
}

const html = 'text/html; charset=utf-8';

function page(title: string, head: string, text: string): string {
  const heading = escapeHtml(title);
  return `<!doctype html>\n<html lang="en"><meta charset="utf-8">${head}<title>${heading}</title><h1>${heading}</h1>${text}</html>\n`;
}

function send(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
