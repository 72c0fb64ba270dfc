import type { IncomingMessage } from 'node:http';
import { pipeline, type Duplex } from 'node:stream';
import type { RouteNode } from '../api.js';
import { isEncrypted, proofOf } from './https.js';
import {
  authorityOf,
  nodeWay,
  proofHeader,
  tunnelHeader,
  viaHeader,
  type TunnelFailure,
  type Ways,
} from './ways.js';

const ignore = (): void => undefined;

/**
 * Handles `CONNECT <address of a node>:<port>` from another host's proxy: a tunnel to that node's gate, and
 * to nothing else. The requesting proxy chooses the node, so this proxy's own route does not matter, and a
 * connection ended by the gate also ends at the far end at once.
 */
export async function serveTunnel(
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
  {
    nodes,
    ways,
    secret,
  }: {
    readonly nodes: readonly RouteNode[] | undefined;
    readonly ways: Ways;
    /** Of this cluster's proxies. */
    readonly secret: string;
  },
): Promise<void> {
  client.on('error', () => client.destroy());
  const refuse = (status: string, failure: TunnelFailure): void => {
    client.end(
      `HTTP/1.1 ${status}\r\n${tunnelHeader}: ${failure}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`,
    );
  };
  if (nodes === undefined) return refuse('503 Service Unavailable', 'no-route');
  const node = nodes.find((each) => authorityOf(nodeWay(each)) === request.url);
  if (node === undefined) return refuse('403 Forbidden', 'not-a-node');
  const dialled = await ways.dial(node, { via: viaOf(request) });
  if (dialled.kind === 'refused') return refuse('502 Bad Gateway', 'refused');
  if (dialled.kind === 'unreachable') return refuse('504 Gateway Timeout', 'unreachable');
  const { socket } = dialled;
  if (client.destroyed) {
    socket.destroy();
    return;
  }
  const proof = isEncrypted(client) ? `${proofHeader}: ${proofOf(client, secret)}\r\n` : '';
  client.write(`HTTP/1.1 200 Connection Established\r\n${proof}\r\n`);
  if (head.length > 0) socket.write(head);
  // A normal end is passed on; an error ends both sides.
  pipeline(client, socket, ignore);
  pipeline(socket, client, ignore);
}

function viaOf(request: IncomingMessage): readonly string[] {
  const value = request.headers[viaHeader];
  return String(value ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}
