/** HTTPS and plain HTTP on one port: the first byte of a connection tells which it is. */
import { createHmac, X509Certificate } from 'node:crypto';
import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Logger } from 'pino';
import { certificateFlaw, certificatesIn } from '../../cluster/certificate.js';

/** A record of the handshake (RFC 8446, 5.1). No method of HTTP begins with it. */
const handshakeByte = 0x16;
/** As long as Node.js waits for the head of a request. */
const firstByteMs = 60_000;
const handshakeMs = 20_000;
const lookMs = 1_000;

/** Whether what is read from it came over TLS. */
export function isEncrypted(socket: Duplex): socket is tls.TLSSocket {
  return socket instanceof tls.TLSSocket;
}

/**
 * What only a program with the secret can derive from this very connection (RFC 5705, 5.). It proves that the other end
 * is of this cluster, whatever its certificate: proxies reach each other by address, and not all have the newest one.
 */
export function proofOf(socket: tls.TLSSocket, secret: string): string {
  const material = socket.exportKeyingMaterial(32, 'EXPORTER-perijove-tunnel', Buffer.alloc(0));
  return createHmac('sha256', secret).update(material).digest('hex');
}

export interface HttpsOptions {
  /** A key and certificates, in one PEM file. */
  readonly file: string;
  readonly logger: Logger;
}

/**
 * Puts TLS in front of a server of plain HTTP. Its handlers get both kinds of connections; `isEncrypted` tells. A new
 * content of the file is in force within seconds, for connections made from then on; one that cannot be used is logged,
 * and changes nothing.
 *
 * Resolves to a function that ends the watch. Rejects if the file cannot be used now. An expired certificate is used
 * nevertheless: browsers say so, and people can go on.
 */
export async function addHttps(server: Server, { file, logger }: HttpsOptions): Promise<() => void> {
  let pem = await readFile(file, 'utf8');
  const handshakes = tls.createServer({
    ...contextOf(pem, file),
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: handshakeMs,
  });
  const handlers = server.listeners('connection') as ((this: Server, socket: Duplex) => void)[];
  const serve = (socket: Duplex): void => {
    for (const handle of handlers) handle.call(server, socket);
  };
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    if (isEncrypted(socket)) serve(socket);
    else divide(socket, { serve, handshake: (raw) => handshakes.emit('connection', raw) });
  });
  handshakes.on('secureConnection', serve);
  handshakes.on('tlsClientError', (error, socket) => {
    logger.debug({ err: error }, 'a TLS handshake failed');
    socket.destroy();
  });
  logger.info(namesOf(pem), 'the certificate is in use');

  const take = async (): Promise<void> => {
    const text = await readFile(file, 'utf8');
    if (text === pem) return;
    handshakes.setSecureContext(contextOf(text, file));
    pem = text;
    logger.info(namesOf(pem), 'the certificate was replaced');
  };
  const look = (): void => {
    take().catch((error: unknown) => {
      logger.error({ err: error, file }, 'the new certificate cannot be used; the one before stays');
    });
  };
  watchFile(file, { interval: lookMs, persistent: false }, look);
  return () => unwatchFile(file, look);
}

/** Hands the socket over with all its bytes, once the first one is there. */
function divide(
  socket: Socket,
  to: { readonly serve: (socket: Socket) => void; readonly handshake: (socket: Socket) => void },
): void {
  // An unhandled error event ends the process.
  socket.on('error', () => socket.destroy());
  const late = setTimeout(() => socket.destroy(), firstByteMs).unref();
  const ended = (): void => void socket.destroy();
  socket.once('close', () => clearTimeout(late));
  socket.once('end', ended);
  socket.once('data', (bytes: Buffer) => {
    clearTimeout(late);
    socket.off('end', ended);
    socket.pause();
    socket.unshift(bytes);
    if (bytes[0] === handshakeByte) {
      // A client that leaves in the middle of the handshake would stay half open, as servers of HTTP permit.
      socket.allowHalfOpen = false;
      to.handshake(socket);
      return;
    }
    to.serve(socket);
    socket.resume();
  });
}

function contextOf(pem: string, file: string): tls.SecureContextOptions {
  const flaw = certificateFlaw(pem, pem);
  if (flaw !== undefined) throw new Error(`${file} ${flaw.why}`);
  return { key: pem, cert: certificatesIn(pem).join('\n') };
}

function namesOf(pem: string): { readonly names: string | undefined; readonly until: string | undefined } {
  const [leaf] = certificatesIn(pem).map((each) => new X509Certificate(each));
  return { names: leaf?.subjectAltName, until: leaf?.validTo };
}
