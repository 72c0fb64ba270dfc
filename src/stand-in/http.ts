import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { ProtoError, readMessage, type Kind } from './proto.js';

/** An error or a redirect, with Mesos' text. */
export class HttpReply extends Error {
  constructor(
    readonly status: number,
    readonly text: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(text);
  }
}

const largestBodyBytes = 16 * 1024 * 1024;

/** Starts a server on one address; an `HttpReply` thrown by a handler becomes the response. */
export async function listen(
  ip: string,
  port: number,
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void> | void,
): Promise<Server> {
  const server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
    // Mesos sends no Connection header; this removes it without changing the connection.
    response.removeHeader('Connection');
    const fail = (error: unknown) => {
      if (response.headersSent) response.destroy();
      else if (error instanceof HttpReply) sendText(response, error.status, error.text, error.headers);
      else sendText(response, 500, String(error));
    };
    try {
      Promise.resolve(handle(request, response)).catch(fail);
    } catch (error) {
      fail(error);
    }
  });
  server.listen(port, ip);
  await once(server, 'listening');
  return server;
}

export function sendText(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const type = text === '' ? {} : { 'Content-Type': 'text/plain; charset=utf-8' };
  response.writeHead(status, { ...type, 'Content-Length': Buffer.byteLength(text), ...headers });
  response.end(text);
}

/** @param callback of `?jsonp=`: the reply is a script that calls it */
export function sendJson(response: ServerResponse, value: unknown, callback?: string): void {
  const json = JSON.stringify(value);
  const text = callback === undefined ? json : `${callback}(${json});`;
  response.writeHead(200, {
    'Content-Type': callback === undefined ? 'application/json' : 'text/javascript',
    'Content-Length': Buffer.byteLength(text),
  });
  response.end(text);
}

export function sendHtml(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'Content-Type': 'text/html', 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

/** Rejects all methods but POST, as the v1 endpoints do. */
export function requirePost(request: IncomingMessage): void {
  if (request.method !== 'POST') {
    throw new HttpReply(405, `Expecting one of { 'POST' }, but received '${request.method ?? ''}'`, {
      Allow: 'POST',
    });
  }
}

/** Rejects a client that does not accept JSON. */
export function requireJsonAccepted(request: IncomingMessage): void {
  const accept = request.headers.accept ?? '*/*';
  const ranges = accept.split(',').map((range) => range.split(';')[0]?.trim());
  if (!ranges.some((range) => range === '*/*' || range === 'application/*' || range === 'application/json')) {
    throw new HttpReply(406, "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'");
  }
}

/**
 * Reads a call of a v1 API. The stand-in accepts only JSON.
 *
 * @throws HttpReply with Mesos' message for each invalid call
 */
export async function readCall<T>(request: IncomingMessage, kind: Kind<T>): Promise<T> {
  const type = request.headers['content-type']?.split(';')[0]?.trim();
  if (type === undefined) throw new HttpReply(400, "Expecting 'Content-Type' to be present");
  if (type === 'application/x-protobuf') throw new HttpReply(400, 'Failed to parse body into Call protobuf');
  if (type !== 'application/json') {
    throw new HttpReply(415, "Expecting 'Content-Type' of application/json or application/x-protobuf");
  }
  const body = await readBody(request);
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new HttpReply(400, 'Failed to parse body into JSON: syntax error at line 1 near: ');
  }
  try {
    return readMessage(kind, value);
  } catch (error) {
    if (!(error instanceof ProtoError)) throw error;
    throw new HttpReply(400, `Failed to convert JSON into Call protobuf: ${error.message}`);
  }
}

export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > largestBodyBytes) throw new HttpReply(413, 'Body is too large');
  }
  return Buffer.concat(chunks).toString('utf8');
}
