import { once } from 'node:events';
import { request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loginUrl } from '../../src/ui/access.js';
import { Feed } from '../../src/ui/feed.js';
import { pageFiles } from '../../src/ui/files.js';
import { createPageServer } from '../../src/ui/server.js';

const token = 'a-token';
const built = path.resolve(import.meta.dirname, '../../dist/ui/page');

/* The server of the status page, and what a browser or a stranger sends to it. */
let server: Server;
let feed: Feed<string>;
let view: string;
let observations: number;
const place = () => ({ port: (server.address() as AddressInfo).port });
const origin = () => `http://127.0.0.1:${place().port}`;

beforeEach(async () => {
  view = 'first';
  observations = 0;
  feed = new Feed<string>({
    observe: async () => {
      observations += 1;
      return view;
    },
    intervalMs: 10,
  });
  server = createPageServer(
    {
      ...{ feed, files: await pageFiles(built), heartbeatMs: 20 },
      answers: {
        '/api/view': async () => ({
          type: 'application/json',
          body: JSON.stringify((await feed.latest()).view),
        }),
        '/broken': async () => Promise.reject(new Error('the cluster cannot be observed')),
      },
    },
    () => ({ token, scheme: 'http', names: ['127.0.0.1', 'localhost'], ...place() }),
  );
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterEach(() => {
  feed.close();
  server.closeAllConnections();
  server.close();
});

/** The head of an answer, with headers that `fetch` does not send. */
async function head(
  url: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<IncomingMessage> {
  const call = request(`${origin()}${url}`, { method, headers, agent: false });
  call.end();
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  response.on('error', () => undefined);
  return response;
}

async function cookie(): Promise<string> {
  const { headers } = await head(`/${new URL(loginUrl(origin(), token)).search}`);
  return headers['set-cookie']?.[0]?.split(';')[0] ?? '';
}

const bearer = { authorization: `Bearer ${token}` };

describe('a browser', () => {
  it('exchanges the token of a link for a cookie, and is led to an address without it', async () => {
    const login = await head(`/?token=${token}`);
    expect(login.statusCode).toBe(303);
    expect(login.headers.location).toBe('/');
    expect(login.headers['set-cookie']?.[0]).toMatch(/; HttpOnly; SameSite=Strict$/);
    const page = await head('/', { cookie: await cookie() });
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
  });

  it('gets a policy under which no script of a page runs, and stores nothing', async () => {
    const { headers } = await head('/', { cookie: await cookie() });
    const policy = String(headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'; script-src 'self';");
    expect(policy).not.toContain('unsafe');
    expect(policy).toContain("frame-ancestors 'none'");
    expect(headers['cache-control']).toBe('no-store');
    expect(headers['referrer-policy']).toBe('no-referrer');
  });

  it('gets the files that the page names, which fit in 100 KB', async () => {
    const files = await pageFiles(built);
    const text = files['/']?.body.toString() ?? '';
    const named = [...text.matchAll(/(?:href|src)="(\/[^"]+)"/g)].map(([, name = '']) => name);
    expect(named.toSorted()).toEqual(Object.keys(files).toSorted().slice(1));
    for (const name of named) expect((await head(name, bearer)).statusCode, name).toBe(200);
    const bytes = Object.values(files).reduce((sum, { body }) => sum + body.length, 0);
    expect(bytes).toBeLessThan(100_000);
  });
});

describe('a stranger', () => {
  it.each([
    ['no token', '/', {}, 401],
    ['a wrong token', '/?token=guess', {}, 401],
    ['a name that leads here by its own DNS', '/api/view', { ...bearer, host: 'evil.example' }, 403],
    ['a page of another site', '/api/view', { ...bearer, origin: 'http://evil.example' }, 403],
    ['the events, and no token', '/api/events', {}, 401],
  ])('is refused with %s', async (_what, url, headers, status) => {
    const refusal = await head(url, headers);
    expect(refusal.statusCode).toBe(status);
    expect(refusal.headers['set-cookie']).toBeUndefined();
    expect(observations).toBe(0);
  });

  it('changes nothing, with the token either', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      expect((await head('/api/view', bearer, method)).statusCode).toBe(405);
    }
  });
});

describe('a program', () => {
  it('gets a document, an error where there is none, and nothing from elsewhere', async () => {
    expect((await fetch(`${origin()}/api/view`, { headers: bearer })).status).toBe(200);
    const broken = await fetch(`${origin()}/broken`, { headers: bearer });
    expect([broken.status, await broken.json()]).toEqual([
      503,
      { message: 'the cluster cannot be observed' },
    ]);
    expect((await fetch(`${origin()}/../package.json`, { headers: bearer })).status).toBe(404);
  });

  it('follows the events, and after a break gets only what it does not know', async () => {
    const first = await follow();
    await vi.waitFor(() => expect(first.text).toContain('"view":"first"'));
    await vi.waitFor(() => expect(first.text).toContain(': alive'));
    const [, id = ''] = /^id: (.*)$/m.exec(first.text) ?? [];
    first.end();

    const again = await follow({ 'last-event-id': id });
    await vi.waitFor(() => expect(again.text).toContain('event: same'));
    expect(again.text).not.toContain('event: view');
    view = 'second';
    await vi.waitFor(() => expect(again.text).toContain('"view":"second"'));
    again.end();
  });

  it('is all that the cluster is observed for', async () => {
    const streams = await Promise.all(Array.from({ length: 50 }, () => follow()));
    await vi.waitFor(() => expect(streams.every(({ text }) => text.includes('event: same'))).toBe(true));
    expect(feed.viewers).toBe(50);
    // Far fewer than viewers.
    expect(observations).toBeLessThan(50);
    for (const { end } of streams) end();
    await vi.waitFor(() => expect(feed.viewers).toBe(0));
  });
});

async function follow(headers: Record<string, string> = {}) {
  const response = await head('/api/events', { ...bearer, ...headers });
  expect(response.headers['content-type']).toBe('text/event-stream');
  const stream = { text: '', end: () => void response.destroy() };
  response.on('data', (data: Buffer) => (stream.text += data.toString()));
  return stream;
}
