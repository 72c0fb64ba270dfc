import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { UserIds } from '../../cluster/spec.js';
import { isBearer, type Tokens } from '../../net/json-server.js';
import { jupyterAuthority, kernelsHeader, type KernelsHeader } from '../kernels.js';
import { connectToJupyter, Passage } from './passage.js';

/** A connection may stay silent; after this the kernel probes whether the peer is alive. */
const keepAliveMs = 30_000;

export interface KernelDoorOptions {
  /** `node-kernels-token`, as it is accepted at each request. */
  readonly tokens: Tokens;
  /** Path of Jupyter's Unix socket. */
  readonly socket: string;
  /** Whose socket it must be; absent: it is not checked. */
  readonly owner?: UserIds | undefined;
  /** Whether Jupyter, where it does not listen, may have kernels that a successor takes up. */
  readonly hasKernels: () => KernelsHeader;
}

/**
 * Passes proxies of this cluster on to the node's Jupyter, whether the node serves or not: `CONNECT` with the token.
 * The door is gone with the process, and so with the node.
 */
export function addKernelDoor(server: Server, options: KernelDoorOptions): void {
  server.on('connect', (request: IncomingMessage, client: Duplex, head: Buffer) => {
    client.on('error', () => client.destroy());
    // A socket of the server, which has no TLS.
    const socket = client as Socket;
    Promise.resolve(options.tokens()).then(
      (tokens) => {
        if (!isBearer(request, tokens)) refuse(socket, '401 Unauthorized');
        else if (request.url !== jupyterAuthority) refuse(socket, '404 Not Found');
        else passOn(socket, head, options);
      },
      () => refuse(socket, '500 Internal Server Error'),
    );
  });
}

function refuse(socket: Socket, status: string, headers = ''): void {
  socket.end(`HTTP/1.1 ${status}\r\n${headers}content-length: 0\r\nconnection: close\r\n\r\n`);
}

function passOn(socket: Socket, head: Buffer, options: KernelDoorOptions): void {
  if (socket.destroyed) return;
  const upstream = connectToJupyter(options.socket, options.owner);
  socket.once('close', () => upstream.destroy());
  const failed = (): void => {
    upstream.destroy();
    refuse(socket, '503 Service Unavailable', `${kernelsHeader}: ${options.hasKernels()}\r\n`);
  };
  upstream.once('error', failed);
  upstream.once('connect', () => {
    upstream.off('error', failed);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveMs);
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    if (head.length > 0) socket.unshift(head);
    const { socket: path, owner } = options;
    new Passage({ client: socket, socket: path, owner, upstream, permits: () => true });
  });
}
