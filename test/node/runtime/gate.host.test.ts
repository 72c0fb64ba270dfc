import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { holderOf } from '../../../src/hosts/sockets.js';
import { gatePath, type GateStatus } from '../../../src/node/api.js';
import { Gate } from '../../../src/node/runtime/gate.js';
import { eventually } from '../../support/eventually.js';
import { writable } from '../../support/writable.js';

const address = '127.27.1.10';
const status: GateStatus = { node: 'node0', open: true, closing: false, term: 5, generation: 3 };

let dir: string;
let behind: Server;
let gate: Gate;
let port: number;
let admits: boolean;
let log: string;
/** Each connection on the side of the program behind the gate. */
let arrived: Socket[];

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'perijove-gate-'));
  arrived = [];
  behind = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    arrived.push(socket);
  });
  behind.listen(`${dir}/socket`);
  await once(behind, 'listening');
  const free = createServer().listen(0, address);
  await once(free, 'listening');
  ({ port } = free.address() as AddressInfo);
  free.close();
  admits = true;
  log = '';
  gate = new Gate({
    address,
    port,
    socket: `${dir}/socket`,
    admits: () => admits,
    status: () => status,
    onListening: () => undefined,
    holderOf,
    logger: pino({}, { write: (line: string) => (log += line) }),
  });
});

afterEach(async () => {
  gate.close();
  for (const socket of arrived) socket.destroy();
  behind.close();
  await rm(dir, { recursive: true, force: true });
});

async function client(): Promise<Socket & { received: () => string }> {
  await eventually(() => gate.listening);
  const socket = connect({ port, host: address, allowHalfOpen: true });
  let received = '';
  socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return Object.assign(socket, { received: () => received });
}

/** A connection that has sent a request, and its other side, which has received it. */
async function request(text = 'GET / HTTP/1.1\r\n\r\n') {
  const count = arrived.length;
  const user = await client();
  user.write(text);
  await eventually(() => arrived.length > count);
  const server = arrived[count] as Socket;
  const [received] = (await once(server, 'data')) as [Buffer];
  return { user, server, received: received.toString() };
}

/** Resolves when the other side has ended, in order or not. */
async function closed(socket: Socket): Promise<void> {
  await eventually(() => socket.readableEnded || socket.destroyed);
}

describe('an open gate', () => {
  beforeEach(() => gate.open());

  it('passes bytes, and the end of each half separately', async () => {
    const { user, server, received } = await request();
    expect(received).toBe('GET / HTTP/1.1\r\n\r\n');
    const ended = once(server, 'end');
    user.end('last');
    await ended;
    server.write('answer');
    await eventually(() => user.received() === 'answer');
    server.end(' to the end');
    await once(user, 'end');
    expect(user.received()).toBe('answer to the end');
    await eventually(() => gate.connectionCount === 0);
  });

  it('passes pieces, and data longer than any buffer, even when the server has closed', async () => {
    const count = arrived.length;
    const user = await client();
    for (const piece of ['G', 'ET /.perijove/ga', 'rden HTTP/1.1\r\n\r\n']) {
      user.write(piece);
      await new Promise(setImmediate);
    }
    await eventually(() => arrived.length > count);
    const server = arrived[count] as Socket;
    await once(server, 'data');
    user.pause();
    const long = 'x'.repeat(8_000_000);
    server.end(long);
    user.end();
    user.resume();
    await once(user, 'end');
    expect(user.received().length).toBe(long.length);
  });

  it('ends each side with the other', async () => {
    const first = await request();
    first.user.resetAndDestroy();
    await closed(first.server);
    const second = await request();
    second.server.destroy();
    second.user.end();
    await closed(second.user);
    await eventually(() => gate.connectionCount === 0);
  });

  it('answers itself, repeatedly on one connection, also in pieces', async () => {
    const user = await client();
    const line = `GET ${gatePath} HTTP/1.1\r\nHost: x\r\n\r\n`;
    user.write(line.slice(0, 9));
    await new Promise(setImmediate);
    user.write(line.slice(9));
    await eventually(() => user.received().split('"term":5').length === 2);
    user.write(line + line);
    await eventually(() => user.received().split('"term":5').length === 4);
    expect(arrived).toEqual([]);
    gate.shut(true);
    await closed(user);
  });

  it('accepts nothing while that is not admitted, and ends open connections', async () => {
    const { user, server } = await request();
    admits = false;
    const late = connect({ port, host: address });
    late.on('error', () => undefined);
    await closed(late);
    user.write('more');
    await closed(user);
    await closed(server);
    expect(server.bytesRead).toBe('GET / HTTP/1.1\r\n\r\n'.length);
  });
});

describe('a program behind the gate that closes while the client still sends', () => {
  const answer = 'HTTP/1.1 400 Bad Request\r\n\r\n';
  beforeEach(() => gate.open());

  it('has its answer passed on, and the rest is dropped', async () => {
    for (let round = 0; round < 20; round += 1) {
      const { user, server } = await request();
      let sending = true;
      void (async () => {
        while (sending) {
          if (!user.write(Buffer.alloc(100_000))) await writable(user);
          else await new Promise(setImmediate);
        }
      })();
      await once(server, 'data');
      server.pause();
      // With bytes that it has not read.
      server.write(answer);
      server.destroy();
      await eventually(() => user.received() === answer);
      const ended = closed(user);
      sending = false;
      user.end();
      await ended;
    }
    await eventually(() => gate.connectionCount === 0);
  });

  it('has an end without an answer passed on, too', async () => {
    const { user, server } = await request();
    server.destroy();
    await closed(user);
    expect(user.received()).toBe('');
  });
});

describe('a gate that shuts', () => {
  beforeEach(() => gate.open());

  async function refuses(): Promise<boolean> {
    const late = connect({ port, host: address });
    try {
      await once(late, 'connect');
      return false;
    } catch (error) {
      expect(error).toMatchObject({ code: 'ECONNREFUSED' });
      return true;
    } finally {
      late.on('error', () => undefined).destroy();
    }
  }

  it('in order, lets an open request end', async () => {
    const { user, server } = await request();
    gate.shut(true);
    await eventually(refuses);
    // Longer than a connection without a request is kept.
    await new Promise((resolve) => setTimeout(resolve, 600));
    server.write('HTTP/1.1 200 OK\r\n\r\n');
    await closed(user);
    expect(user.received()).toBe('HTTP/1.1 200 OK\r\n\r\n');
    await eventually(() => gate.connectionCount === 0);
  });

  it('in order, accepts a connection that was made at that very moment', async () => {
    await eventually(() => gate.listening);
    const user = connect({ port, host: address });
    user.write('POST / HTTP/1.1\r\n\r\n');
    gate.shut(true);
    await eventually(() => arrived.length === 1);
    const [server] = arrived as [Socket];
    await once(server, 'data');
    server.end('HTTP/1.1 200 OK\r\n\r\n');
    const [received] = (await once(user, 'data')) as [Buffer];
    expect(received.toString()).toContain('200 OK');
    await closed(user);
    await eventually(() => gate.connectionCount === 0);
  });

  it('without proof, ends everything at once, except websockets', async () => {
    const plain = await request();
    const socket = await request();
    socket.server.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
    await eventually(() => socket.user.received() !== '');
    admits = false;
    gate.shut(false);
    await closed(plain.user);
    expect(await refuses()).toBe(true);
    socket.user.write('frame');
    await once(socket.server, 'data');
    socket.server.write('frame back');
    await eventually(() => socket.user.received().endsWith('frame back'));
    expect(gate.connectionCount).toBe(1);
    socket.user.destroy();
    socket.server.end();
    await eventually(() => gate.connectionCount === 0);
  });

  it('opens again at once, even in quick succession', async () => {
    for (let cycle = 0; cycle < 20; cycle += 1) {
      gate.shut(cycle % 2 === 0);
      gate.open();
    }
    expect((await request()).received).toContain('GET /');
    gate.shut(true);
    gate.open();
    gate.shut(false);
    expect(await refuses()).toBe(true);
  });
});

describe('a port of another program', () => {
  it('is named in the log, and taken when it is free', async () => {
    const other = createServer().listen(port, address);
    await once(other, 'listening');
    gate.open();
    await eventually(() => log.includes('the gate cannot listen'));
    expect(log).toContain(`(process ${process.pid})`);
    expect(log.split('the gate cannot listen')).toHaveLength(2);
    other.close();
    expect((await request()).received).toContain('GET /');
  });
});
