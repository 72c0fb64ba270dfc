import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Endpoint } from './connection.js';

/** A listener on 127.0.0.1 of this machine. */
export interface Tunnel {
  readonly endpoint: Endpoint;
  close(): Promise<void>;
}

/**
 * Listens on a free port of 127.0.0.1 and joins each connection to a channel from `dial`. If `dial` fails,
 * the connection is reset, as if the remote end had done so.
 */
export async function openTunnel(
  dial: () => Promise<Duplex>,
  onFailure: (error: unknown) => void,
): Promise<Tunnel> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    dial().then(
      (channel) => join(socket, channel),
      (error: unknown) => {
        onFailure(error);
        socket.resetAndDestroy();
      },
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { address, port } = server.address() as AddressInfo;
  return {
    endpoint: { host: address, port },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function join(socket: Socket, channel: Duplex): void {
  // An ssh2 channel emits 'close' only once the server has agreed, and drops writes after its end. Each side
  // is therefore closed on the other's 'close', not by `pipeline`, which waits for callbacks that never come.
  channel.on('error', () => socket.destroy());
  channel.once('close', () => socket.destroySoon());
  socket.once('close', () => channel.destroy());
  if (socket.destroyed) {
    channel.destroy();
    return;
  }
  socket.pipe(channel);
  channel.pipe(socket);
}
