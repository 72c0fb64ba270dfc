import { getEventListeners } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { chunksOf, discard, download, httpRequest, textOf } from '../../src/net/http.js';
import { eventually } from '../support/eventually.js';
import { rawServer, type RawServer } from '../support/raw-server.js';

const servers: RawServer[] = [];
const directories: string[] = [];

async function answering(answer: (socket: Socket, head: string) => void): Promise<string> {
  const server = await rawServer(answer);
  servers.push(server);
  return server.url;
}

async function newFile(): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'perijove-http-'));
  directories.push(directory);
  return path.join(directory, 'file');
}

afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true });
});

const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
const large = Buffer.alloc(8 * 2 ** 20, 'x');

describe('a body', () => {
  it.each([
    ['ends with the connection', 'HTTP/1.0 200 OK\r\n\r\nhello'],
    ['has a length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello'],
    ['comes in chunks', `${chunked}5\r\nhello\r\n0\r\n\r\n`],
  ])('is read when it %s', async (_what, text) => {
    const url = await answering((socket) => socket.end(text));
    expect(await textOf(await httpRequest(url))).toBe('hello');
  });

  it('is read at its length where the server leaves the connection open', async () => {
    const url = await answering((socket) =>
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'),
    );
    expect(await textOf(await httpRequest(url))).toBe('hello');
  });

  it.each([
    ['short of its length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'],
    ['in a chunk', `${chunked}a\r\nhello`],
    ['before the last chunk', `${chunked}5\r\nhello\r\n`],
  ])('is an error when the connection is closed %s', async (_what, text) => {
    const url = await answering((socket) => socket.end(text));
    const reading = async () => textOf(await httpRequest(url));
    await expect(reading()).rejects.toThrow('closed the connection before the end of its response');
  });

  it('is an error when the connection is reset in the middle', async () => {
    const url = await answering((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello', () => socket.resetAndDestroy());
    });
    await expect(httpRequest(url).then(textOf)).rejects.toThrow(Error);
  });

  it('is an error when it stops in the middle', async () => {
    const url = await answering((socket) =>
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'),
    );
    const response = await httpRequest(url);
    const reading = async () => {
      for await (const chunk of chunksOf(response, { idleMs: 50 })) expect(chunk.toString()).toBe('hello');
    };
    await expect(reading()).rejects.toThrow('the response stopped for 0.05 s');
  });

  it.each([
    ['without a length', 'HTTP/1.0 200 OK\r\n\r\n'],
    ['with a length', `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${large.length}\r\n\r\n`],
  ])(
    '%s is sent no faster than it is read, and whole when the server closed long before',
    async (_what, head) => {
      let sent = false;
      const url = await answering((socket) => {
        socket.write(head);
        socket.end(large, () => (sent = true));
      });
      let bytes = 0;
      const response = await httpRequest(url);
      for await (const chunk of chunksOf(response)) {
        // Not all of it fits into the buffers of two sockets.
        if (bytes === 0) expect(sent).toBe(false);
        bytes += chunk.length;
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(bytes).toBe(large.length);
    },
  );

  it('may be left before its end: the connection is closed', async () => {
    let closed = false;
    const url = await answering((socket) => {
      socket.on('close', () => (closed = true));
      socket.write('HTTP/1.0 200 OK\r\n\r\n');
      socket.write(large);
    });
    for await (const chunk of chunksOf(await httpRequest(url))) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    await eventually(() => closed || undefined);
  });
});

describe('a request', () => {
  it.each([
    ['before its response', ''],
    ['in the head of its response', 'HTTP/1.1 200 OK\r\nContent-Le'],
  ])('fails when the connection is closed %s', async (_what, text) => {
    const url = await answering((socket) => socket.end(text));
    await expect(httpRequest(url)).rejects.toThrow(/hang up|Parse Error/);
  });

  it('says who refused it', async () => {
    const server = await rawServer(() => undefined);
    server.close();
    await expect(httpRequest(server.url)).rejects.toThrow('ECONNREFUSED');
  });

  it('fails when its response does not come in time', async () => {
    const url = await answering(() => undefined);
    await expect(httpRequest(url, { headTimeoutMs: 50 })).rejects.toThrow('no response within 0.05 s');
  });

  it('fails with the reason of its signal, before the response and in its body', async () => {
    const url = await answering((socket) => socket.write('HTTP/1.0 200 OK\r\n\r\nhello'));
    const silent = await answering(() => undefined);
    const stop = new AbortController();
    const response = await httpRequest(url, { signal: stop.signal });
    const answers = [textOf(response), httpRequest(silent, { signal: stop.signal })];
    const reason = new Error('enough');
    stop.abort(reason);
    expect(await Promise.allSettled(answers)).toMatchObject([{ reason }, { reason }]);
    await expect(httpRequest(url, { signal: stop.signal })).rejects.toBe(reason);
  });

  it('is sent again where a kept connection was closed after the response before', async () => {
    const url = await answering((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'));
    for (let round = 0; round < 20; round += 1) expect(await textOf(await httpRequest(url))).toBe('hello');
  });

  it('leaves nothing at a signal that lasts', async () => {
    const url = await answering((socket, head) => {
      if (head.startsWith('GET /cut')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello');
      else if (head.startsWith('GET /closed')) socket.end();
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello');
    });
    const { signal } = new AbortController();
    for (let round = 0; round < 50; round += 1) {
      await discard(await httpRequest(`${url}/whole`, { signal }));
      await httpRequest(`${url}/cut`, { signal })
        .then(textOf)
        .catch(() => undefined);
      await httpRequest(`${url}/closed`, { signal }).catch(() => undefined);
    }
    await eventually(() => getEventListeners(signal, 'abort').length === 0 || undefined);
  });
});

describe('a download', () => {
  it('follows redirects, and keeps every byte', async () => {
    const url = await answering((socket, head) => {
      if (head.startsWith('GET /there '))
        socket.end(Buffer.concat([Buffer.from('HTTP/1.0 200 OK\r\n\r\n'), large]));
      else socket.end('HTTP/1.0 302 Found\r\nLocation: /there\r\n\r\n');
    });
    const file = await newFile();
    let bytes = 0;
    await download(`${url}/here`, file, { each: (chunk) => (bytes += chunk.length) });
    expect(bytes).toBe(large.length);
    expect((await stat(file)).size).toBe(large.length);
  });

  it.each([
    ['404 Not Found\r\nContent-Length: 0', 'HTTP 404'],
    ['302 Found\r\nLocation: /', 'more than 10 redirects'],
    ['200 OK\r\nContent-Length: 10', 'before the end of its response'],
  ])('fails for a server that answers %j', async (head, message) => {
    const url = await answering((socket) => socket.end(`HTTP/1.1 ${head}\r\n\r\n`));
    await expect(download(url, await newFile())).rejects.toThrow(message);
  });

  it('fails when the file cannot be written', async () => {
    const url = await answering((socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nhello'));
    await expect(download(url, '/nowhere/file')).rejects.toThrow('ENOENT');
  });
});
