import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type * as z from 'zod';
import { messageOf } from '../errors/error.js';
import { isSameSecret } from './same-secret.js';

/** Thrown by a route to respond with a status other than 200. */
export class Refusal<Body extends { readonly code: string; readonly message?: string }> extends Error {
  constructor(
    readonly status: number,
    readonly body: Body,
  ) {
    super(body.message ?? body.code);
  }
}

export interface JsonRequest {
  /** The URL's query. */
  readonly query: URLSearchParams;
  /** The validated body. @throws Refusal 400 BAD_REQUEST, 413 TOO_LARGE */
  readonly order: <Order>(schema: z.ZodType<Order>) => Promise<Order>;
}

/** Those accepted now. */
export type Tokens = () => readonly string[] | Promise<readonly string[]>;

export interface JsonServerOptions {
  /** One of them is required in every request: `Authorization: Bearer <token>`. Two while one replaces the other. */
  readonly tokens: Tokens;
  /** Routes that need others in their place, by method and path. */
  readonly otherTokens?: Readonly<Record<string, Tokens>>;
  readonly longestBodyBytes: number;
  /** Handlers by method and path, such as `GET /status`; the result is sent with status 200. */
  readonly routes: Readonly<Record<string, (request: JsonRequest) => unknown>>;
  readonly logger: Logger;
}

/**
 * A small HTTP API: every request needs the token, every response is JSON. An error other than a `Refusal` is
 * logged and sent as 500 with the code FAILED. The caller starts the server.
 */
export function jsonServer({
  tokens,
  otherTokens = {},
  longestBodyBytes,
  routes,
  logger,
}: JsonServerOptions): Server {
  const answer = async (request: IncomingMessage): Promise<unknown> => {
    const url = new URL(request.url ?? '/', 'http://api');
    const name = `${request.method ?? ''} ${url.pathname}`;
    const needed = Object.hasOwn(otherTokens, name) ? otherTokens[name] : tokens;
    if (needed === undefined || !isBearer(request, await needed())) {
      throw new Refusal(401, { code: 'UNAUTHORIZED', message: 'the token is missing or wrong' });
    }
    const route = Object.hasOwn(routes, name) ? routes[name] : undefined;
    if (route === undefined) {
      const message = `the requests are: ${Object.keys(routes).join(', ')}`;
      throw new Refusal(404, { code: 'NOT_FOUND', message });
    }
    return await route({
      query: url.searchParams,
      order: (schema) => readOrder(request, schema, longestBodyBytes),
    });
  };

  return createServer({ requestTimeout: 10_000 }, (request, response) => {
    answer(request).then(
      (body) => reply(request, response, 200, body),
      (error: unknown) => {
        if (error instanceof Refusal) return reply(request, response, error.status, error.body);
        logger.error({ err: error, url: request.url }, 'request failed');
        return reply(request, response, 500, { code: 'FAILED', message: messageOf(error) });
      },
    );
  });
}

/** Whether a request has one of these tokens. */
export function isBearer({ headers }: IncomingMessage, tokens: readonly string[]): boolean {
  return tokens.some((token) => isSameSecret(headers.authorization ?? '', `Bearer ${token}`));
}

function reply(request: IncomingMessage, response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed) return;
  // The rest of a rejected body would be parsed as the next request.
  if (!request.complete) response.setHeader('connection', 'close');
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(`${JSON.stringify(body)}\n`);
}

async function readOrder<Order>(
  request: IncomingMessage,
  schema: z.ZodType<Order>,
  longestBodyBytes: number,
): Promise<Order> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > longestBodyBytes) {
      const message = `the body is longer than ${longestBodyBytes} bytes`;
      throw new Refusal(413, { code: 'TOO_LARGE', message });
    }
    chunks.push(chunk);
  }
  let json: unknown;
  try {
    json = JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new Refusal(400, { code: 'BAD_REQUEST', message: 'the body is not JSON' });
  }
  const order = schema.safeParse(json);
  if (order.success) return order.data;
  const [issue] = order.error.issues;
  const where = issue?.path.join('.') ?? '';
  const message = `${where || 'body'}: ${issue?.message ?? 'wrong'}`;
  throw new Refusal(400, { code: 'BAD_REQUEST', message });
}
