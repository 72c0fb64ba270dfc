import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { kernelsHeader } from '../../../../src/node/kernels.js';
import { Doors } from '../../../../src/proxy/program/kernels/doors.js';
import { Ways } from '../../../../src/proxy/program/ways.js';

const address = '127.26.13.1';
const question = { path: '/api/kernels', headers: {}, deadlineMs: 200 };
let port: number;
let doors: Doors;
const closing: (() => void)[] = [];

beforeAll(async () => {
  const probe = net.createServer().listen(0, address);
  await once(probe, 'listening');
  ({ port } = probe.address() as net.AddressInfo);
  probe.close();
  await once(probe, 'close');
});
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

function makeDoors(): void {
  const node = { name: 'node0', ways: [`http://${address}:1`] };
  doors = new Doors({ port, token: 'secret', ways: new Ways('127.26.13.9:1', ['s']), nodes: () => [node] });
}

/** A control port that treats `CONNECT` so. */
async function controlPort(connect?: (socket: Duplex) => void): Promise<void> {
  const server = http.createServer();
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  if (connect) server.on('connect', (_request, socket) => connect(socket));
  server.listen(port, address);
  await once(server, 'listening');
  closing.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
}

const says =
  (status: string, headers = '') =>
  (socket: Duplex) =>
    socket.end(`HTTP/1.1 ${status}\r\n${headers}content-length: 0\r\n\r\n`);

/** For 70 s of the clock by which doors judge. */
async function longAfter(): Promise<string> {
  const begun = performance.now();
  const now = vi.spyOn(performance, 'now');
  try {
    await doors.jupyter('node0', question);
    for (const ahead of [30_000, 70_000]) {
      now.mockImplementation(() => begun + ahead);
      await doors
        .upstream('node0')
        ?.connect()
        .catch(() => undefined);
    }
    return (await doors.jupyter('node0', question)).kind;
  } finally {
    now.mockRestore();
  }
}

test('a node whose Jupyter does not run says that it has no kernels', async () => {
  makeDoors();
  await controlPort(says('503 Service Unavailable', `${kernelsHeader}: none\r\n`));
  expect((await doors.jupyter('node0', question)).kind).toBe('nothing');
  expect(doors.lacksDoor('node0')).toBe(false);
});

test('a node whose Jupyter starts, or whose token is another one, may have kernels, however long that takes', async () => {
  for (const status of ['503 Service Unavailable', '401 Unauthorized']) {
    makeDoors();
    await controlPort(says(status, `${kernelsHeader}: not-known\r\n`));
    expect([status, await longAfter()]).toEqual([status, 'not-known']);
    for (const close of closing.splice(0)) close();
  }
});

test('a node that was reached and is slow may have kernels, however long that takes', async () => {
  makeDoors();
  // It accepts, and Jupyter never answers.
  await controlPort((socket) => socket.write('HTTP/1.1 200 Connection Established\r\n\r\n'));
  expect(await longAfter()).toBe('not-known');
});

test('a node that has refused connections for long has no kernels', async () => {
  makeDoors();
  expect((await doors.jupyter('node0', question)).kind).toBe('not-known');
  expect(await longAfter()).toBe('nothing');
});

test('a node of an earlier release has no door, and one that had a door is only not known when it dies', async () => {
  makeDoors();
  await controlPort();
  expect((await doors.jupyter('node0', question)).kind).toBe('nothing');
  expect(doors.lacksDoor('node0')).toBe(true);
  for (const close of closing.splice(0)) close();

  makeDoors();
  await controlPort(says('503 Service Unavailable', `${kernelsHeader}: not-known\r\n`));
  expect((await doors.jupyter('node0', question)).kind).toBe('not-known');
  for (const close of closing.splice(0)) close();
  await controlPort();
  expect((await doors.jupyter('node0', question)).kind).toBe('not-known');
  expect(doors.lacksDoor('node0')).toBe(false);
});
