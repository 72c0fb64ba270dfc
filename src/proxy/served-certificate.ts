import tls from 'node:tls';
import type { Endpoint } from '../ssh/connection.js';

/**
 * Until when the certificates that an HTTPS server presents are valid: the server's own, and those that it sends with
 * it. Nothing is verified, and nothing is sent but the handshake. Rejects if there is no handshake within the time.
 *
 * @param own key and certificate in one PEM text, for a server that asks for one
 */
export function servedUntil({ host, port }: Endpoint, timeoutMs: number, own?: string): Promise<Date> {
  return new Promise((resolve, reject) => {
    const identity = own === undefined ? {} : { key: own, cert: own };
    const socket = tls.connect({ host, port, rejectUnauthorized: false, timeout: timeoutMs, ...identity });
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.once('error', fail);
    socket.once('timeout', () => fail(new Error(`no TLS handshake within ${timeoutMs} ms`)));
    socket.once('close', () => reject(new Error('the connection ended without a TLS handshake')));
    socket.once('secureConnect', () => {
      const ends: number[] = [];
      const seen = new Set<string>();
      let next: tls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
      // The last one is its own issuer, or came without it.
      while (next !== undefined && 'fingerprint256' in next && !seen.has(next.fingerprint256)) {
        seen.add(next.fingerprint256);
        ends.push(Date.parse(next.valid_to));
        next = next.issuerCertificate;
      }
      socket.destroy();
      if (ends.length === 0) reject(new Error('the server presented no certificate'));
      else resolve(new Date(Math.min(...ends)));
    });
  });
}
