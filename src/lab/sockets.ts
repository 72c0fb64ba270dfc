import { PerijoveError } from '../errors/error.js';
import { listenersAt, processesHolding } from '../hosts/sockets.js';
import { commandLine, processStat } from './processes.js';

/** @throws PerijoveError PORT_IN_USE, naming the process if this user may see it */
export function requireFreePort(address: string, port: number, what: string): void {
  const listeners = listenersAt(address, port);
  if (listeners.length === 0) return;
  const inodes = new Set(listeners.map((socket) => socket.inode));
  const holders = processesHolding(inodes)
    .filter((pid) => processStat(pid))
    .map((pid) => `process ${pid} (${commandLine(pid)})`);
  // One that has closed since then had no owner to be found.
  if (holders.length === 0 && !listenersAt(address, port).some(({ inode }) => inodes.has(inode))) {
    requireFreePort(address, port, what);
    return;
  }
  throw new PerijoveError(
    'PORT_IN_USE',
    `cannot start ${what}: ${holders.join(', ') || 'a process of another user'} already listens at ${address}:${port}`,
    { subject: `${address}:${port}` },
  );
}
