import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { jsonClient } from '../../src/net/json-client.js';
import { jsonServer, Refusal } from '../../src/net/json-server.js';

const servers: Server[] = [];
const logged: unknown[] = [];
const logger = pino({ level: 'error' }, { write: (line) => void logged.push(JSON.parse(line)) });
const unreachable = (why: string, cause: unknown) => new Error(`unreachable: ${why}`, { cause });
let base: string;

async function listening(server: Server): Promise<string> {
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeAll(async () => {
  const routes = {
    'GET /sum': ({ query }: { query: URLSearchParams }) => ({ of: query.getAll('of') }),
    'PUT /double': async ({ order }: { order: <T>(schema: z.ZodType<T>) => Promise<T> }) => {
      const { value } = await order(z.strictObject({ value: z.number() }));
      if (value < 0) throw new Refusal(409, { code: 'NEGATIVE', message: 'it is negative' });
      if (value === 0) throw new Error('it is nothing');
      return { value: value * 2 };
    },
  };
  base = await listening(
    jsonServer({ tokens: () => ['s3cret', 'next'], longestBodyBytes: 64, routes, logger }),
  );
});
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

const client = (token = 's3cret', at = base) =>
  jsonClient({ base: at, token, timeoutMs: 5_000, unreachable });

describe('a JSON API', () => {
  it('responds to queries and orders', async () => {
    expect(await client()('/sum?of=1&of=2', {})).toMatchObject({ status: 200, body: { of: ['1', '2'] } });
    expect(await client()('/double', {}, { value: 4 })).toMatchObject({ status: 200, body: { value: 8 } });
  });

  it('accepts each of its tokens, and no other', async () => {
    expect(await client('next')('/sum', {})).toMatchObject({ status: 200 });
    for (const wrong of ['', 's3cret,next', 's3cre']) {
      expect(await client(wrong)('/sum', {})).toMatchObject({ status: 401, body: { code: 'UNAUTHORIZED' } });
    }
  });

  it.each([
    ['/other', undefined, 404, 'NOT_FOUND'],
    ['/double', undefined, 404, 'NOT_FOUND'],
    ['/double', { value: 'x' }, 400, 'BAD_REQUEST'],
    ['/double', { value: 1, more: 'x'.repeat(100) }, 413, 'TOO_LARGE'],
    ['/double', { value: -1 }, 409, 'NEGATIVE'],
    ['/double', { value: 0 }, 500, 'FAILED'],
  ])('responds to %s with %j by %d %s', async (path, order, status, code) => {
    expect(await client()(path, {}, order)).toMatchObject({ status, body: { code } });
  });

  it('logs only errors other than refusals, and no token', () => {
    expect(logged).toMatchObject([{ msg: 'request failed', err: { message: 'it is nothing' } }]);
    expect(JSON.stringify(logged)).not.toContain('s3cret');
  });

  it.each(['', 'wrong', 's3cret2'])('rejects the token %j before it parses the request', async (token) => {
    expect(await client(token)('/other', {}, {})).toMatchObject({
      status: 401,
      body: { code: 'UNAUTHORIZED' },
    });
  });

  it('rejects a body that is not JSON', async () => {
    const answer = await fetch(`${base}/double`, {
      method: 'PUT',
      headers: { authorization: 'Bearer s3cret' },
      body: '{',
    });
    expect([answer.status, await answer.json()]).toEqual([
      400,
      { code: 'BAD_REQUEST', message: 'the body is not JSON' },
    ]);
  });
});

describe('its client', () => {
  it('rejects when no response arrives in time, or nothing listens', async () => {
    const silent = await listening(createServer(() => undefined));
    await expect(client('', silent)('/sum', { timeoutMs: 20 })).rejects.toThrow(
      'unreachable: no answer within 20 ms',
    );
    await expect(client('', 'http://127.0.0.1:1')('/sum', {})).rejects.toThrow(/unreachable: .*ECONNREFUSED/);
  });

  it('rejects with the reason of the signal', async () => {
    const silent = await listening(createServer(() => undefined));
    const ended = new AbortController();
    const asked = client('', silent)('/sum', { signal: ended.signal });
    ended.abort(new Error('enough'));
    await expect(asked).rejects.toThrow('enough');
  });

  it('returns a response that is not JSON as text', async () => {
    const other = await listening(createServer((_request, response) => response.end('<html>')));
    expect(await client('', other)('/', {})).toEqual({ status: 200, text: '<html>', body: undefined });
  });
});
