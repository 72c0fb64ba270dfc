/** What commands share that serve until Ctrl-C. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import { messageOf, PerijoveError } from '../errors/error.js';

/** @param server whose `listen` was called @throws PerijoveError PORT_IN_USE */
export async function listening(server: Server, place: string): Promise<void> {
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new PerijoveError('PORT_IN_USE', `cannot listen on ${place}: ${messageOf(cause)}`, {
      subject: place,
      cause,
    });
  }
}

/** Serves until the signal aborts, then closes every connection and the server. */
export async function serveUntil(signal: AbortSignal, server: Server): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
  server.closeAllConnections();
  server.close();
}
