import { connect } from 'node:net';

/**
 * Whether something accepts TCP connections at `host:port` (`[host]:port` for IPv6) within `ms`: a program that is
 * too busy to answer, or suspended, still does. Never rejects.
 */
export function listens(address: string, ms: number): Promise<boolean> {
  const [, bracketed, plain, port] = /^(?:\[(.+)\]|(.+)):(\d+)$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), timeout: ms });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}
