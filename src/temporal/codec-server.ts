import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Payload, PayloadCodec } from '@temporalio/common';
import * as z from 'zod';
import { messageOf, PerijoveError } from '../errors/error.js';
import { isSameSecret } from '../net/same-secret.js';

export interface CodecServerOptions {
  readonly codec: PayloadCodec;
  /** Origins of web pages that may ask: `http://127.0.0.1:8233`. */
  readonly origins: readonly string[];
  /** Required in each request as `Authorization: Bearer <token>`. */
  readonly token?: string | undefined;
}

/** Base64 of a payload's bytes, as in protobuf's JSON. */
const bytes = z.string().transform((value) => Buffer.from(value, 'base64'));
const requestSchema = z.object({
  payloads: z.array(z.object({ metadata: z.record(z.string(), bytes).nullish(), data: bytes.nullish() })),
});
/** Twice the largest payload that a server accepts, in base64, for a few of them. */
const longestBodyBytes = 16 * 1024 * 1024;

/**
 * Temporal's remote codec (docs.temporal.io/codec-server): `POST /decode` and `POST /encode` for the Web UI and the
 * `temporal` command. Answers pages of the given origins alone; a page that a browser shows cannot choose its origin. The
 * caller starts listening.
 */
export function createCodecServer({ codec, origins, token }: CodecServerOptions): Server {
  const convert: Readonly<Record<string, (payloads: Payload[]) => Promise<Payload[]>>> = {
    '/decode': (payloads) => codec.decode(payloads),
    '/encode': (payloads) => codec.encode(payloads),
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { origin } = request.headers;
    if (origin !== undefined && !origins.includes(origin)) {
      return reply(response, 403, { message: `this codec server does not answer pages of ${origin}` });
    }
    if (origin !== undefined) {
      response.setHeader('access-control-allow-origin', origin);
      response.setHeader('access-control-allow-credentials', 'true');
      response.setHeader('vary', 'origin');
    }
    if (request.method === 'OPTIONS') {
      response.setHeader('access-control-allow-methods', 'POST, OPTIONS');
      response.setHeader('access-control-allow-headers', 'authorization, content-type, x-namespace');
      response.writeHead(204).end();
      return;
    }
    if (token !== undefined && !isSameSecret(request.headers.authorization ?? '', `Bearer ${token}`)) {
      return reply(response, 401, { message: 'the token is missing or wrong' });
    }
    const path = new URL(request.url ?? '/', 'http://codec').pathname;
    const work = request.method === 'POST' ? convert[path] : undefined;
    if (work === undefined) {
      return reply(response, 404, { message: 'the requests are: POST /decode, POST /encode' });
    }
    const length = Number(request.headers['content-length'] ?? NaN);
    if (!(length <= longestBodyBytes)) {
      return reply(response, 413, { message: `a body has a length of at most ${longestBodyBytes} bytes` });
    }
    let parsed;
    try {
      parsed = requestSchema.safeParse(JSON.parse(await text(request)));
    } catch {
      return reply(response, 400, { message: 'the body is not JSON' });
    }
    if (!parsed.success) return reply(response, 400, { message: 'the body has no payloads' });
    try {
      const payloads = await work(
        parsed.data.payloads.map(({ metadata, data }) => ({
          metadata: metadata ?? null,
          data: data ?? null,
        })),
      );
      reply(response, 200, { payloads: payloads.map(jsonOf) });
    } catch (error) {
      if (!(error instanceof PerijoveError)) throw error;
      reply(response, 422, { code: error.code, message: error.message });
    }
  };

  return createServer({ requestTimeout: 10_000 }, (request, response) => {
    answer(request, response).catch((error: unknown) => {
      reply(response, 500, { message: messageOf(error) });
    });
  });
}

function jsonOf({ metadata, data }: Payload) {
  return {
    metadata: Object.fromEntries(
      Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('base64')]),
    ),
    data: Buffer.from(data ?? []).toString('base64'),
  };
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    // The rest of a refused body would be taken for the next request.
    ...(status >= 400 && { connection: 'close' }),
  });
  response.end(`${JSON.stringify(body)}\n`);
}
