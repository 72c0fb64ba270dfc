import { X509Certificate } from 'node:crypto';
import type http from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';

/**
 * Connects over TLS to a server with exactly this certificate, under whatever name or address, expired or not, and to
 * no other: nothing is sent before the certificate has been compared. Each request opens a new connection.
 */
export class PinnedAgent extends https.Agent {
  readonly #pinned: X509Certificate;

  /** @param certificate of the server, in PEM */
  constructor(certificate: string, options: Pick<https.AgentOptions, 'maxSockets'> = {}) {
    super({ ...options, keepAlive: false });
    this.#pinned = new X509Certificate(certificate);
  }

  override createConnection(
    options: http.ClientRequestArgs,
    oncreate?: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    // The comparison below takes the place of the check against CAs and names.
    const socket = tls.connect({ ...(options as tls.ConnectionOptions), rejectUnauthorized: false });
    let isSettled = false;
    const settle = (error: Error | null): void => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(late);
      if (error !== null) socket.destroy();
      // Declared otherwise, but on an error the agent never reads the socket.
      oncreate?.(error, socket);
    };
    const late = setTimeout(() => settle(new Error('no connection over TLS within 10 s')), 10_000);
    socket.once('error', settle);
    socket.once('close', () => settle(new Error('the server closed the connection')));
    socket.once('secureConnect', () => {
      const found = socket.getPeerX509Certificate();
      const isPinned = found?.raw.equals(this.#pinned.raw) === true;
      settle(isPinned ? null : new Error('the server has another certificate than its host'));
    });
  }
}
