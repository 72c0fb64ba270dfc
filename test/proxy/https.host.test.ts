import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { certificatesIn } from '../../src/cluster/certificate.js';
import type { ProxyTlsFiles } from '../../src/cluster/spec.js';
import { servedUntil } from '../../src/proxy/served-certificate.js';
import { makeAuthority, type TestAuthority } from '../support/certificates.js';
import { startGate, type TestGate } from '../support/gate.js';
import { place, startProxy, type TestProxy } from '../support/proxy.js';

let authority: TestAuthority;
let first: ProxyTlsFiles;
let second: ProxyTlsFiles;
let proxy: TestProxy;
let gate: TestGate;
let generation = 0;

beforeAll(async () => {
  authority = makeAuthority();
  const names = 'DNS:jupyter.test,IP:127.26.7.1,IP:127.26.7.6';
  first = authority.issue('first', { names });
  second = authority.issue('second', { names });
  proxy = await startProxy({ address: '127.26.7.1', tls: { ...first, hstsMs: 86_400_000 } });
  gate = await startGate({
    address: '127.26.8.1',
    answer: (request, response) => {
      if (request.url === '/login')
        response.setHeader('set-cookie', ['a=1; Path=/', 'b=2; Secure; HttpOnly']);
      if (request.url === '/headers') response.end(JSON.stringify(request.headers));
      else request.pipe(response.setHeader('x-method', request.method ?? ''));
    },
  });
  await routeThrough(proxy, [gate.url]);
});
afterAll(async () => {
  await proxy?.remove();
  await gate?.close();
  authority?.remove();
});

async function routeThrough(to: TestProxy, ways: readonly string[]): Promise<void> {
  generation += 1;
  const order = {
    ...{ generation, term: generation, node: 'node1', nodes: [{ name: 'node1', ways: [...ways] }] },
    ...{ reflexes: false, drainMs: 30_000 },
  };
  expect(await to.client.setRoute(order)).toMatchObject({ kind: 'set', changed: true });
  await vi.waitFor(async () => expect((await to.client.health()).answering).toBe(true), 15_000);
}

interface Asked {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly agent?: https.Agent;
}

/** The certificate is checked, by its name, against the CA. */
async function ask(url: string, { method = 'GET', headers, body, agent }: Asked = {}) {
  const client = url.startsWith('https') ? https : http;
  const options = { method, headers: headers ?? {}, ca: authority.ca, agent: agent ?? false };
  const request = client.request(url, options);
  request.end(body);
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  return { status: answer.statusCode, headers: answer.headers, text };
}

const serialOf = ({ certificateFile }: ProxyTlsFiles) => {
  const [leaf = ''] = certificatesIn(readFileSync(certificateFile, 'utf8'));
  return new X509Certificate(leaf).serialNumber;
};

/** Serial number of the certificate that a new connection gets. */
async function served(): Promise<string | undefined> {
  const socket = tls.connect({ host: proxy.host.address, port: 8888, ca: authority.ca });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerX509Certificate() ?? {};
  socket.destroy();
  return serialNumber;
}

async function openSocket(): Promise<WebSocket> {
  const url = `${proxy.url.replace('https', 'wss')}/api/kernels/1/channels`;
  const socket = new WebSocket(url, { ca: authority.ca });
  await once(socket, 'open');
  return socket;
}

async function echo(socket: WebSocket, text: string): Promise<string> {
  const answer = once(socket, 'message');
  socket.send(text);
  return String((await answer)[0]);
}

test('the end of what is served is seen without an authority, of the certificate or an issuer', async () => {
  const chain = certificatesIn(readFileSync(first.certificateFile, 'utf8')).map(
    (each) => new X509Certificate(each),
  );
  expect(chain).toHaveLength(2);
  const ends = chain.map(({ validTo }) => Date.parse(validTo));
  const endpoint = { host: proxy.host.address, port: 8888 };
  expect((await servedUntil(endpoint, 5_000)).getTime()).toBe(Math.min(...ends));
  const silent = net.createServer();
  await once(silent.listen(0, '127.26.7.9'), 'listening');
  try {
    const { port } = silent.address() as net.AddressInfo;
    await expect(servedUntil({ host: '127.26.7.9', port }, 200)).rejects.toThrow('no TLS handshake');
  } finally {
    silent.close();
  }
  await expect(servedUntil({ host: '127.26.7.9', port: 1 }, 200)).rejects.toThrow('ECONNREFUSED');
});

describe('over HTTPS', () => {
  test('requests and bodies reach Jupyter, which is told the protocol', async () => {
    expect(proxy.url).toBe('https://127.26.7.1:8888');
    const body = 'x'.repeat(3_000_000);
    const saved = await ask(`${proxy.url}/api/contents/a`, { method: 'PUT', body });
    expect(saved).toMatchObject({ status: 200, text: body });
    const { text } = await ask(`${proxy.url}/headers`);
    expect(JSON.parse(text)).toMatchObject({ 'x-forwarded-proto': 'https', host: '127.26.7.1:8888' });
  });

  test('websockets reach a kernel', async () => {
    const socket = await openSocket();
    expect(await echo(socket, 'over TLS')).toBe('over TLS');
    socket.terminate();
  });

  test('cookies stay on HTTPS, and browsers are asked to', async () => {
    const { headers } = await ask(`${proxy.url}/login`);
    expect(headers['set-cookie']).toEqual(['a=1; Path=/; Secure', 'b=2; Secure; HttpOnly']);
    expect(headers['strict-transport-security']).toBe('max-age=86400');
  });

  test('a browser waits on the page of the proxy while no gate is open', async () => {
    await gate.shut();
    try {
      const page = await ask(`${proxy.url}/lab`, { headers: { accept: 'text/html' } });
      expect(page).toMatchObject({ status: 503, headers: { 'content-type': 'text/html; charset=utf-8' } });
      expect(JSON.parse((await ask(`${proxy.url}/.perijove/status`)).text)).toMatchObject({ ready: false });
    } finally {
      await gate.open();
    }
    await expect
      .poll(async () => JSON.parse((await ask(`${proxy.url}/.perijove/status`)).text) as unknown)
      .toEqual({ ready: true });
  });

  test('an upgrade to another protocol is ignored', async () => {
    const headers = { connection: 'upgrade', upgrade: 'h2c' };
    expect(await ask(`${proxy.url}/api`, { headers })).toMatchObject({ status: 200 });
  });
});

describe('over plain HTTP on the same port', () => {
  const plain = 'http://127.26.7.1:8888';

  test('each method is redirected, and no body is taken', async () => {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH']) {
      const body = method === 'POST' || method === 'PUT' ? 'x'.repeat(100_000) : '';
      const headers = { host: 'jupyter.test:8888', 'content-length': String(body.length) };
      const answer = await ask(`${plain}/lab?token=t`, { method, body, headers });
      expect(answer).toMatchObject({
        status: 308,
        headers: { location: 'https://jupyter.test:8888/lab?token=t', 'cache-control': 'no-store' },
        text: '',
      });
      expect(answer.headers).not.toHaveProperty('strict-transport-security');
    }
  });

  test('a websocket is redirected', async () => {
    const socket = new WebSocket(`${plain.replace('http', 'ws')}/api/kernels/1/channels`);
    const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
    answer.resume();
    expect(answer.statusCode).toBe(308);
    expect(answer.headers.location).toBe('https://127.26.7.1:8888/api/kernels/1/channels');
  });

  test('a request without a usable Host gets the address of the proxy', async () => {
    const answer = await raw('GET /lab HTTP/1.0\r\n\r\n');
    expect(answer).toContain('\r\nlocation: https://127.26.7.1:8888/lab\r\n');
    expect(await raw('GET /lab HTTP/1.1\r\nHost: a/b@c\r\nConnection: close\r\n\r\n')).toContain(
      '\r\nlocation: https://127.26.7.1:8888/lab\r\n',
    );
  });

  test('its first byte may arrive alone', async () => {
    const socket = net.connect(8888, '127.26.7.1');
    socket.setNoDelay(true);
    await once(socket, 'connect');
    socket.write('G');
    // The proxy has read it once a later connection was answered.
    await ask(`${plain}/`);
    socket.write('ET /lab HTTP/1.0\r\n\r\n');
    expect(await textOf(socket)).toContain('308 Permanent Redirect');
  });

  async function raw(request: string): Promise<string> {
    const socket = net.connect(8888, '127.26.7.1');
    socket.write(request);
    return textOf(socket);
  }
});

async function textOf(socket: net.Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

test('bytes that are neither end their connection, and no other', async () => {
  const other = await openSocket();
  for (const bytes of [Buffer.from([0x16, 1, 2, 3, 4, 5, 6, 7]), Buffer.from([0, 1, 2, 3, 13, 10, 13, 10])]) {
    const socket = net.connect(8888, '127.26.7.1');
    socket.on('error', () => undefined);
    socket.end(bytes);
    socket.resume();
    await once(socket, 'close');
  }
  expect(await echo(other, 'still here')).toBe('still here');
  other.terminate();
});

describe('a new certificate on the host', () => {
  afterEach(async () => {
    await place(first, proxy.certificateFile);
    await expect.poll(served, { timeout: 15_000 }).toBe(serialOf(first));
  });

  test('is served without a restart, and cuts nothing', async () => {
    const { pid } = await proxy.client.health();
    const socket = await openSocket();
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    const failed: unknown[] = [];
    let isOver = false;
    const load = [agent, undefined].map(async (each) => {
      while (!isOver) {
        const options = each === undefined ? {} : { agent: each };
        const { status } = await ask(`${proxy.url}/api`, options).catch((error: unknown) => ({
          status: error,
        }));
        if (status !== 200) failed.push(status);
      }
    });
    expect(await served()).toBe(serialOf(first));
    await place(second, proxy.certificateFile);
    await expect.poll(served, { timeout: 15_000 }).toBe(serialOf(second));
    isOver = true;
    await Promise.all(load);
    agent.destroy();
    expect(failed).toEqual([]);
    expect(await echo(socket, 'the same connection')).toBe('the same connection');
    socket.terminate();
    expect((await proxy.client.health()).pid).toBe(pid);
  });

  test('stays out while its key does not fit', async () => {
    const output = proxy.output().length;
    const mixed = { certificateFile: second.certificateFile, keyFile: first.keyFile };
    await place(mixed, proxy.certificateFile);
    await expect
      .poll(() => proxy.output().slice(output), { timeout: 15_000 })
      .toContain('the new certificate cannot be used');
    expect(proxy.output().slice(output)).not.toContain('PRIVATE');
    expect(await served()).toBe(serialOf(first));
    await writeFile(proxy.certificateFile, '');
    expect(await served()).toBe(serialOf(first));
  });
});

describe('tunnels between proxies', () => {
  const others: TestProxy[] = [];
  afterEach(async () => {
    await Promise.all(others.splice(0).map((each) => each.remove()));
    await routeThrough(proxy, [gate.url]);
  });

  /** The way of a request of this moment. */
  async function wayOf(from: TestProxy): Promise<string | undefined> {
    expect((await ask(`${from.url}/api`)).status).toBe(200);
    return (await from.client.route())?.serving.target;
  }

  async function beside(
    address: string,
    options: { readonly token?: string; readonly tls?: ProxyTlsFiles },
  ): Promise<TestProxy> {
    const other = await startProxy({ address, ...options });
    others.push(other);
    await routeThrough(other, [gate.url]);
    return other;
  }

  test('pass over TLS to a proxy with another certificate, with requests and websockets', async () => {
    const other = await beside('127.26.7.2', { tls: second });
    await routeThrough(proxy, [other.url, gate.url]);
    expect(await wayOf(proxy)).toBe('https://127.26.7.2:8888');
    const socket = await openSocket();
    expect(await echo(socket, 'through both')).toBe('through both');
    expect((await other.client.health()).connections.draining).toBe(0);
    socket.terminate();
  });

  test('are not made to whoever lacks the secret of the cluster', async () => {
    const other = await beside('127.26.7.4', { tls: second, token: 'of another cluster' });
    await routeThrough(proxy, [other.url, gate.url]);
    expect(await wayOf(proxy)).toBe(gate.url);
  });

  test('are accepted from a proxy that does not know of HTTPS yet', async () => {
    const other = await startProxy({ address: '127.26.7.5' });
    others.push(other);
    await routeThrough(other, ['http://127.26.7.1:8888', gate.url]);
    expect(await wayOf(other)).toBe('http://127.26.7.1:8888');
  });
});

test('SIGHUP hands over to a worker with the same certificate, and cuts no websocket', async () => {
  const socket = await openSocket();
  const before = (await proxy.client.health()).pid;
  // Clients that leave in the middle of a handshake, or right after it, leave nothing behind.
  await served();
  const wary = tls.connect({ host: proxy.host.address, port: 8888, ca: [] });
  await expect(once(wary, 'secureConnect')).rejects.toThrow();
  const early = net.connect(8888, proxy.host.address);
  early.write(Buffer.from([0x16]));
  early.end();
  early.resume();
  await once(early, 'close');
  process.kill(proxy.pid, 'SIGHUP');
  await expect
    .poll(async () => (await proxy.client.health().catch(() => ({ pid: before }))).pid, { timeout: 15_000 })
    .not.toBe(before);
  await expect.poll(async () => (await ask(`${proxy.url}/api`)).status).toBe(200);
  expect(await served()).toBe(serialOf(first));
  expect(await echo(socket, 'in the worker before')).toBe('in the worker before');
  expect(existsSync(`/proc/${before}`)).toBe(true);
  socket.terminate();
  await expect.poll(() => existsSync(`/proc/${before}`), { timeout: 15_000 }).toBe(false);
});

test('a proxy goes from plain HTTP to HTTPS and back, and cuts no websocket', async () => {
  const changing = await startProxy({ address: '127.26.7.6' });
  try {
    await routeThrough(changing, [gate.url]);
    const over = async (protocol: 'http' | 'https'): Promise<number | undefined> =>
      (await ask(`${protocol}://127.26.7.6:8888/api`)).status;
    const opened = async (protocol: 'ws' | 'wss'): Promise<WebSocket> => {
      const socket = new WebSocket(`${protocol}://127.26.7.6:8888/api/kernels/1/channels`, {
        ca: authority.ca,
      });
      await once(socket, 'open');
      return socket;
    };
    const plain = await opened('ws');
    const config = JSON.parse(await readFile(changing.configFile, 'utf8')) as object;
    await place(first, changing.certificateFile);
    await writeFile(
      changing.configFile,
      JSON.stringify({ ...config, tls: { file: changing.certificateFile } }),
    );
    process.kill(changing.pid, 'SIGHUP');
    await expect.poll(() => over('http'), { timeout: 15_000 }).toBe(308);
    await expect.poll(() => over('https')).toBe(200);
    const secure = await opened('wss');

    await writeFile(changing.configFile, JSON.stringify(config));
    process.kill(changing.pid, 'SIGHUP');
    await expect.poll(() => over('http'), { timeout: 15_000 }).toBe(200);
    for (const socket of [plain, secure]) expect(await echo(socket, 'still here')).toBe('still here');
    for (const socket of [plain, secure]) socket.terminate();
  } finally {
    await changing.remove();
  }
});

test('a proxy without a usable certificate does not start, and says why', async () => {
  const mixed = { certificateFile: second.certificateFile, keyFile: first.keyFile };
  await expect(startProxy({ address: '127.26.7.3', tls: mixed })).rejects.toThrow(
    'proxy-https.pem does not fit the certificate',
  );
});
