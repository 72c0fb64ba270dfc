/**
 * Every HTTP request of Perijove, and every body that it reads. Made of Node's own client: undici 7, the last release
 * line for Node.js 20, ends the process with an assertion where a server closes the connection while a body is read
 * with back-pressure (nodejs/undici#5360, mended in undici 8 only).
 */
import { createWriteStream } from 'node:fs';
import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { pipeline } from 'node:stream/promises';
import { messageOf } from '../errors/error.js';
import { reasonOf } from './abortable.js';

export interface HttpRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Ends the request, and the reading of its body. Nothing stays at it once the body was read or left. */
  readonly signal?: AbortSignal | undefined;
  /** Whose connections are used; by default, those that are kept for 4 s. */
  readonly agent?: http.Agent | undefined;
  /** From the start to a connection, 10,000 by default. */
  readonly connectTimeoutMs?: number;
  /** From a connection to the head of the response, 300,000 by default. */
  readonly headTimeoutMs?: number;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** To be read by `chunksOf`, `textOf`, `leave` or `saveTo`; nothing else ends its connection. */
  readonly body: IncomingMessage;
}

const kept = { keepAlive: true, timeout: 4_000 } as const;
const agents = { 'http:': new http.Agent(kept), 'https:': new https.Agent(kept) } as const;

/** For requests that each want a connection of their own. */
export const unkept = new http.Agent({ keepAlive: false });

/** How long a body may stop in the middle. */
const idleTimeoutMs = 300_000;
const longestTextBytes = 64 * 2 ** 20;
const mostRedirects = 10;

/**
 * Sends a request and resolves with the head of its response, whatever its status. Redirects are not followed.
 * A GET is sent once more where a kept connection was closed meanwhile. Rejects with the reason of the signal, and with an error that says why there is no response.
 */
export async function httpRequest(url: string | URL, options: HttpRequest = {}): Promise<HttpResponse> {
  try {
    return await exchange(url, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    // The server closed a kept connection while the request was on its way.
    if (!(error instanceof ClosedBefore && (options.method ?? 'GET') === 'GET')) throw error;
    return exchange(url, options, { agent: false });
  }
}

/** A connection that was used before was closed instead of a response. */
class ClosedBefore extends Error {}

async function exchange(
  url: string | URL,
  options: HttpRequest,
  { agent }: { readonly agent?: false } = {},
): Promise<HttpResponse> {
  const {
    method = 'GET',
    headers = {},
    signal,
    connectTimeoutMs = 10_000,
    headTimeoutMs = 300_000,
  } = options;
  signal?.throwIfAborted();
  const target = new URL(url);
  if (target.protocol !== 'http:' && target.protocol !== 'https:')
    throw new Error(`cannot fetch ${target.protocol} addresses`);
  const { protocol } = target;
  const call = (protocol === 'https:' ? https : http).request(target, {
    method,
    headers,
    agent: agent ?? options.agent ?? agents[protocol],
  });
  let body: IncomingMessage | undefined;
  let timer: NodeJS.Timeout | undefined;
  const abort = () => void (body ?? call).destroy(signal && reasonOf(signal));
  const ended = () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  };
  const endAfter = (ms: number, what: string) => {
    clearTimeout(timer);
    timer = setTimeout(() => call.destroy(new Error(`${what} within ${ms / 1_000} s`)), ms);
  };
  signal?.addEventListener('abort', abort, { once: true });
  call.once('close', () => body ?? ended());
  // A request may wait for a connection of its agent. That costs it no time.
  call.once('socket', (socket) => {
    const awaitHead = () => endAfter(headTimeoutMs, 'no response');
    if (!socket.connecting) return awaitHead();
    endAfter(connectTimeoutMs, 'no connection');
    socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', awaitHead);
  });
  return new Promise((resolve, reject) => {
    call.on('error', (error) => reject(connectionError(error, call.reusedSocket)));
    call.once('response', (response) => {
      clearTimeout(timer);
      body = response;
      // What breaks it is met where it is read.
      response.on('error', () => undefined);
      response.once('close', ended);
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: response });
    });
    call.end(options.body);
  });
}

function connectionError(error: NodeJS.ErrnoException, isReused: boolean): Error {
  if (isReused && error.code === 'ECONNRESET') return new ClosedBefore(error.message, { cause: error });
  // With several addresses of one name, Node's error has no message of its own.
  if (error instanceof AggregateError && error.message === '') {
    return new Error(error.errors.map(messageOf).join('; '), { cause: error });
  }
  return error;
}

/**
 * The body, chunk by chunk; the server sends no faster than they are taken. Whoever stops early closes the connection.
 * Throws when the connection ends before the body does, when nothing arrives for so long, and the reason of the signal.
 */
export async function* chunksOf(
  { body }: Pick<HttpResponse, 'body'>,
  { idleMs = idleTimeoutMs }: { readonly idleMs?: number } = {},
): AsyncGenerator<Buffer, void> {
  const idle = () => body.destroy(new Error(`the response stopped for ${idleMs / 1_000} s`));
  const watch = () => (idleMs === Infinity ? undefined : setTimeout(idle, idleMs));
  let timer = watch();
  try {
    for await (const chunk of body) {
      // How long the reader takes is not the server's matter.
      clearTimeout(timer);
      yield chunk as Buffer;
      timer = watch();
    }
  } catch (error) {
    throw isCutShort(error) ? cutShort(error) : error;
  } finally {
    clearTimeout(timer);
    body.destroy();
  }
  if (!body.complete) throw cutShort(undefined);
}

/** Node's own words for it are `aborted`. */
function isCutShort(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && error.code === 'ECONNRESET' && error.message === 'aborted'
  );
}

function cutShort(cause: unknown): Error {
  return new Error('the server closed the connection before the end of its response', { cause });
}

/** The whole body as text, of 64 MiB at most. Throws as `chunksOf` does. */
export async function textOf(response: Pick<HttpResponse, 'body'>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunksOf(response)) {
    bytes += chunk.length;
    if (bytes > longestTextBytes)
      throw new Error(`the response has more than ${longestTextBytes / 2 ** 20} MiB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Reads the body to its end for the sake of its connection, and forgets it. Throws as `chunksOf` does. */
export async function discard(response: Pick<HttpResponse, 'body'>): Promise<void> {
  for await (const chunk of chunksOf(response)) void chunk;
}

/**
 * Fetches a URL into a file, by way of at most 10 redirects, and hands each chunk to `each` first. Resolves when all of
 * it is in the file. Throws for any status but 200, and as `httpRequest` and `chunksOf` do.
 */
export async function download(
  url: string,
  file: string,
  { each, signal, idleMs }: DownloadOptions = {},
): Promise<void> {
  const response = await follow(url, signal);
  const observed = async function* () {
    for await (const chunk of chunksOf(response, idleMs === undefined ? {} : { idleMs })) {
      each?.(chunk);
      yield chunk;
    }
  };
  return pipeline(observed, createWriteStream(file));
}

/** The body of a URL, at most `atMost` bytes; redirects are followed. Throws as `download`, and for a longer one. */
export async function fetchBytes(
  url: string,
  { atMost, signal }: { readonly atMost: number; readonly signal?: AbortSignal | undefined },
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of chunksOf(await follow(url, signal))) {
    chunks.push(chunk);
    if (chunks.reduce((sum, { length }) => sum + length, 0) > atMost) {
      throw new Error(`longer than ${atMost} bytes`);
    }
  }
  return Buffer.concat(chunks);
}

/** The response of status 200 at the end of at most 10 redirects. */
async function follow(url: string, signal: AbortSignal | undefined): Promise<HttpResponse> {
  let at = new URL(url);
  for (let redirects = 0; ; redirects += 1) {
    const response = await httpRequest(at, { signal });
    const { status, headers, body } = response;
    if (status === 200) return response;
    body.destroy();
    const isRedirect = [301, 302, 303, 307, 308].includes(status) && headers.location !== undefined;
    if (!isRedirect) throw new Error(`HTTP ${status}`);
    if (redirects === mostRedirects) throw new Error(`more than ${mostRedirects} redirects`);
    at = new URL(headers.location ?? '', at);
  }
}

export interface DownloadOptions {
  readonly each?: (chunk: Buffer) => void;
  readonly signal?: AbortSignal | undefined;
  /** How long the body may stop in the middle, 300,000 by default. */
  readonly idleMs?: number;
}
