/**
 * The only code that uses private parts of node-zookeeper-client: a client's connection, which the library
 * neither exports nor documents. package.json pins the exact version, and a test compares what is used here
 * with the installed version.
 */
import type { Socket } from 'node:net';
import type zookeeper from 'node-zookeeper-client';

/** `ConnectionManager.STATES.CLOSING`: a connection that closes in this state is not replaced. */
export const closing = -1;

interface ConnectionManager {
  readonly socket?: Socket;
  state: number;
  pendingBuffer: Buffer | null;
  findNextServer(callback: (server: { host: string; port: number }) => void): void;
}

export function connectionManager(client: zookeeper.Client): ConnectionManager {
  return (client as zookeeper.Client & { readonly connectionManager: ConnectionManager }).connectionManager;
}

/** The connection that is open or being opened. */
export function socketOf(client: zookeeper.Client): Socket | undefined {
  return connectionManager(client).socket;
}

/**
 * Stops a client from dialling once `isOver` returns true. After a close between two attempts the library
 * would dial again, endlessly.
 */
export function dialUntil(client: zookeeper.Client, isOver: () => boolean): void {
  const manager = connectionManager(client);
  const findNextServer = manager.findNextServer.bind(manager);
  manager.findNextServer = (callback) =>
    findNextServer((server) => {
      if (!isOver()) callback(server);
    });
}

/** Drops a lost connection's partial reply; the library would prepend it to the next one's first reply. */
export function dropHalfReply(client: zookeeper.Client): void {
  connectionManager(client).pendingBuffer = null;
}

/** Closes the connection at once and permanently. */
export function abandon(client: zookeeper.Client): void {
  const manager = connectionManager(client);
  manager.state = closing;
  manager.socket?.destroy();
}
