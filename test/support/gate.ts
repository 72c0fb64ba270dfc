import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocketServer } from 'ws';
import { gatePath, type GateStatus } from '../../src/node/api.js';
import type { RouteNode } from '../../src/proxy/api.js';

export interface TestGateOptions {
  readonly node?: string;
  readonly address: string;
  /** A free one by default. */
  readonly port?: number;
  readonly term?: number;
  /** What is behind it: a handler in this process, or a URL. */
  readonly answer?: ((request: IncomingMessage, response: ServerResponse) => void) | URL;
}

/** A real HTTP and websocket server that behaves like a node's gate; websockets echo. */
export interface TestGate {
  readonly url: string;
  /** As in an order, with only the direct way. */
  readonly node: RouteNode;
  /** Its reply; set by the test. */
  status: GateStatus;
  readonly sockets: ReadonlySet<Socket>;
  /** Number of polls it received. */
  readonly asked: number;
  /** Starts listening (again), at the same port. */
  open(term?: number): Promise<void>;
  /** Refuses connections. In order, in-flight requests may end; otherwise every connection is cut. */
  shut(options?: { readonly inOrder?: boolean }): Promise<void>;
  close(): Promise<void>;
}

/** An open gate. */
export async function startGate(options: TestGateOptions): Promise<TestGate> {
  const { address, node = 'node1', answer } = options;
  let { port = 0 } = options;
  let server = http.createServer();
  let asked = 0;
  let websockets = new Set<Socket>();
  const sockets = new Set<Socket>();

  const gate: TestGate = {
    get url() {
      return `http://${address}:${port}`;
    },
    get node() {
      return { name: gate.status.node, ways: [gate.url] };
    },
    status: { node, open: true, closing: false, term: options.term ?? 1, generation: 1 },
    sockets,
    get asked() {
      return asked;
    },
    open: async (term) => {
      gate.status = { ...gate.status, open: true, ...(term !== undefined && { term, closing: false }) };
      websockets = new Set();
      server = http.createServer((request, response) => {
        if (request.url === gatePath) {
          asked += 1;
          response.end(JSON.stringify(gate.status));
        } else if (answer instanceof URL) forward(answer, request, response);
        else if (answer) answer(request, response);
        else response.end(gate.status.node);
      });
      server.on('connection', (socket) => {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
      });
      if (answer instanceof URL) {
        server.on('upgrade', (request, socket) => forwardUpgrade(answer, request, socket as Socket));
      }
      const echo = new WebSocketServer(answer instanceof URL ? { noServer: true } : { server });
      echo.on('connection', (socket, request) => {
        websockets.add(request.socket);
        socket.on('message', (data, binary) => socket.send(data, { binary }));
      });
      server.listen(port, address);
      await once(server, 'listening');
      ({ port } = server.address() as AddressInfo);
    },
    shut: async ({ inOrder = true } = {}) => {
      if (!server.listening) return;
      const closed = once(server, 'close');
      gate.status = { ...gate.status, open: false };
      server.closeIdleConnections();
      // Like a gate, it accepts what has connected by now.
      if (inOrder) await delay(50);
      server.close();
      server.closeIdleConnections();
      if (!inOrder) for (const socket of sockets) socket.destroy();
      if (!inOrder || sockets.size === websockets.size) await closed;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await gate.shut({ inOrder: false });
    },
  };
  await gate.open();
  return gate;
}

function forward(to: URL, request: IncomingMessage, response: ServerResponse): void {
  const { hostname: host, port } = to;
  const { method, headers, url: path } = request;
  const passed = http.request({ host, port, path, method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.rawHeaders);
    answer.pipe(response);
  });
  passed.on('error', () => response.destroy());
  request.pipe(passed);
}

function forwardUpgrade(to: URL, request: IncomingMessage, client: Socket): void {
  const behind = connect(Number(to.port), to.hostname, () => {
    const lines = [`GET ${request.url} HTTP/1.1`];
    for (let index = 0; index < request.rawHeaders.length; index += 2)
      lines.push(`${request.rawHeaders[index]}: ${request.rawHeaders[index + 1]}`);
    behind.write(`${lines.join('\r\n')}\r\n\r\n`);
    behind.pipe(client).pipe(behind);
  });
  for (const [one, other] of [
    [behind, client],
    [client, behind],
  ] as const) {
    one.on('error', () => one.destroy());
    one.on('close', () => other.destroy());
  }
}

/** A gate in a separate process, which can be stopped; websockets stay open and silent. */
export async function startGateProcess(options: {
  readonly address: string;
  readonly node: string;
  readonly term: number;
}): Promise<{ readonly node: RouteNode; signal(signal: NodeJS.Signals): void; close(): Promise<void> }> {
  const { address, node, term } = options;
  const status: GateStatus = { node, open: true, closing: false, term, generation: 1 };
  const program = `
    const { createHash } = require('node:crypto');
    require('node:http')
      .createServer((request, response) => {
        if (request.url === '${gatePath}') response.end(${JSON.stringify(JSON.stringify(status))});
        else if (request.url !== '/hang') response.end('${node}');
      })
      .on('upgrade', (request, socket) => {
        const key = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
        const accept = createHash('sha1').update(key).digest('base64');
        socket.write(['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade',
          'Sec-WebSocket-Accept: ' + accept, '', ''].join('\\r\\n'));
      })
      .listen(8888, '${address}', () => console.log('open'));`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  await once(child.stdout, 'data');
  return {
    node: { name: node, ways: [`http://${address}:8888`] },
    signal: (signal) => void child.kill(signal),
    close: async () => {
      process.off('exit', kill);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      kill();
      await ended;
    },
  };
}
