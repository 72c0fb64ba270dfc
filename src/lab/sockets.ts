import { PerijoveError } from '../errors/error.js';
import { listenersAt, processesHolding } from '../hosts/sockets.js';
import { commandLine, processStat } from './processes.js';

/** @throws PerijoveError PORT_IN_USE, naming the process if this user may see it */
export function requireFreePort(address: string, port: number, what: string): void {
  const listeners = listenersAt(address, port);
  if (listeners.length === 0) return;
  const holders = processesHolding(new Set(listeners.map((socket) => socket.inode)))
    .filter((pid) => processStat(pid))
    .map((pid) => `process ${pid} (${commandLine(pid)})`);
  throw new PerijoveError(
    'PORT_IN_USE',
    `cannot start ${what}: ${holders.join(', ') || 'a process of another user'} already listens at ${address}:${port}`,
    { subject: `${address}:${port}` },
  );
}
