import { createHash, timingSafeEqual } from 'node:crypto';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { z } from 'zod';
import { messageOf } from '../../errors/error.js';
import { routeOrderSchema, type ProxyHealth, type RouteSet } from '../api.js';
import type { RouteFile } from './route-file.js';
import type { Router } from './router.js';

export interface ApiServerOptions {
  readonly router: Router;
  readonly token: string;
  readonly routeFile: RouteFile;
  readonly logger: Logger;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const maxBodyBytes = 64 * 1024;

/** The API that `api.ts` describes; the caller makes it listen. */
export function createApiServer(options: ApiServerOptions): http.Server {
  const { router, routeFile, logger } = options;
  const token = digest(options.token);

  const put = async (request: IncomingMessage): Promise<Answer> => {
    const order = routeOrderSchema.safeParse(await readJson(request));
    if (!order.success)
      return { status: 400, body: { code: 'BAD_REQUEST', message: z.prettifyError(order.error) } };
    const { node, nodes } = order.data;
    if (nodes.every(({ name }) => name !== node))
      return { status: 400, body: { code: 'BAD_REQUEST', message: `${node} is not one of the nodes` } };
    const set: RouteSet | undefined = router.take(order.data);
    if (!set) {
      const { generation = 0 } = router.route ?? {};
      logger.warn({ order: order.data, generation }, 'rejected an order of an earlier generation');
      return { status: 409, body: { code: 'STALE_GENERATION', generation } };
    }
    // Users wait for the answer of the last proxy, never for a disk: `health` tells when it is stored, and who
    // comes back with an older route is given the newer one again.
    if (!set.changed && !routeFile.stored) void routeFile.store(set.route);
    return { status: 200, body: set };
  };

  const answer = async (request: IncomingMessage): Promise<Answer> => {
    const given = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (given === undefined || !timingSafeEqual(digest(given), token)) {
      return { status: 401, body: { code: 'UNAUTHORIZED', message: 'The token is missing or wrong.' } };
    }
    switch (`${request.method} ${request.url?.split('?', 1)[0]}`) {
      case 'GET /route':
        return { status: 200, body: router.route ?? null };
      case 'PUT /route':
        return put(request);
      case 'GET /health': {
        const health: ProxyHealth = {
          pid: process.pid,
          uptimeMs: Math.round(process.uptime() * 1000),
          stored: routeFile.stored,
          ...(await router.health()),
        };
        return { status: 200, body: health };
      }
      default:
        return { status: 404, body: { code: 'NOT_FOUND', message: 'Not found.' } };
    }
  };

  const send = (response: ServerResponse, { status, body }: Answer): void => {
    response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(JSON.stringify(body));
  };

  return http.createServer((request, response) => {
    answer(request).then(
      (result) => send(response, result),
      (error: unknown) => {
        if (response.destroyed) return;
        const body = { code: 'BAD_REQUEST', message: messageOf(error) };
        response.setHeader('connection', 'close');
        send(response, { status: 400, body });
      },
    );
  });
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw new Error(`the body is larger than ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
}
