import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { z } from 'zod';
import { messageOf } from '../../errors/error.js';
import {
  hostsOrderSchema,
  jupyterOrderSchema,
  longestWaitMs,
  retireOrderSchema,
  type HostsOrder,
  type HostsStatus,
  type JupyterOrder,
  type JupyterStatus,
  type NodeFailure,
  type NodeStatus,
  type Retired,
  type RetireOrder,
} from '../api.js';

/** What the control API does. The orders reject with `Refusal` where they are not carried out. */
export interface NodeControl {
  status(): Promise<NodeStatus>;
  jupyter(order: JupyterOrder, waitMs: number): Promise<JupyterStatus>;
  hosts(order: HostsOrder): Promise<HostsStatus>;
  retire(order: RetireOrder): Promise<Retired>;
}

/** An answer other than 200. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly failure: NodeFailure,
  ) {
    super(failure.message);
  }
}

const longestBody = 256 * 1024;

/** The control API over HTTP. Every answer is JSON; every request must carry the token. */
export function controlServer(control: NodeControl, token: string, logger: Logger): Server {
  const expected = createHash('sha256').update(`Bearer ${token}`).digest();
  const authorized = (request: IncomingMessage) => {
    // Of equal length whatever was sent, so the comparison tells nothing by its time.
    const given = createHash('sha256')
      .update(request.headers.authorization ?? '')
      .digest();
    return timingSafeEqual(given, expected);
  };

  const answer = async (request: IncomingMessage): Promise<unknown> => {
    if (!authorized(request)) {
      throw new Refusal(401, { code: 'UNAUTHORIZED', message: 'the token is missing or wrong' });
    }
    const url = new URL(request.url ?? '/', 'http://node');
    switch (`${request.method ?? ''} ${url.pathname}`) {
      case 'GET /status':
        return control.status();
      case 'PUT /jupyter':
        return control.jupyter(await readOrder(request, jupyterOrderSchema), readWait(url));
      case 'PUT /hosts':
        return control.hosts(await readOrder(request, hostsOrderSchema));
      case 'PUT /retire':
        return control.retire(await readOrder(request, retireOrderSchema));
      default:
        throw new Refusal(404, {
          code: 'NOT_FOUND',
          message: 'not found; use GET /status, PUT /jupyter, PUT /hosts or PUT /retire',
        });
    }
  };

  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    answer(request).then(
      (body) => reply(request, response, 200, body),
      (error: unknown) => {
        if (error instanceof Refusal) return reply(request, response, error.status, error.failure);
        logger.error({ err: error, url: request.url }, 'request failed');
        const failure: NodeFailure = { code: 'FAILED', message: messageOf(error) };
        return reply(request, response, 500, failure);
      },
    );
  });
  return server;
}

function reply(request: IncomingMessage, response: ServerResponse, status: number, body: unknown): void {
  // What is left of a body that was refused would be read as the next request.
  if (!request.complete) response.setHeader('connection', 'close');
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(`${JSON.stringify(body)}\n`);
}

async function readOrder<Order>(request: IncomingMessage, schema: z.ZodType<Order>): Promise<Order> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > longestBody) {
      throw new Refusal(413, { code: 'TOO_LARGE', message: `the body is longer than ${longestBody} bytes` });
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
  throw new Refusal(400, {
    code: 'BAD_REQUEST',
    message: `${where || 'body'}: ${issue?.message ?? 'wrong'}`,
  });
}

function readWait(url: URL): number {
  const text = url.searchParams.get('wait') ?? '0';
  if (!/^\d{1,9}$/.test(text)) {
    throw new Refusal(400, { code: 'BAD_REQUEST', message: '`wait` must be a number of milliseconds' });
  }
  return Math.min(Number(text), longestWaitMs);
}
