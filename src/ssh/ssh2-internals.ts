/**
 * What ssh2 does not offer: it knows no certificates, neither those of users nor those of hosts, and does not
 * tell when a host accepts a key and requires more. Its checks stay its own: it verifies the signature of the key
 * exchange with the key of the certificate. This depends on internals of one version of ssh2, which
 * `package.json` pins; the host tests run it against OpenSSH.
 */
import { createRequire } from 'node:module';
import type { Client, ParsedKey } from 'ssh2';
import { certifiedType, parseCertificate } from './certificate.js';
import { wireString } from './wire.js';

type Signed = (data: Buffer, done: (signature: Buffer) => void) => void;
type AuthPublicKey = (user: string, key: ParsedKey, algorithm?: string, sign?: Signed) => void;

type AuthFailure = (protocol: Protocol, methods: readonly string[], partial: boolean) => void;

interface Entry {
  readonly array: readonly string[];
}
type Direction = Readonly<Record<'cipher' | 'mac' | 'compress' | 'lang', Entry>>;

interface Offer {
  readonly lists: {
    readonly kex: Entry;
    readonly serverHostKey: Entry;
    readonly cs: Direction;
    readonly sc: Direction;
  };
}

interface KeyExchange {
  readonly negotiated: { serverHostKey: string };
  _hostKey: Buffer | undefined;
  finish(...options: unknown[]): unknown;
}

interface Protocol {
  authPK: AuthPublicKey;
  _offer: Offer;
  _kex: KeyExchange | undefined;
  readonly _authsQueue: string[];
  readonly _handlers: { USERAUTH_FAILURE: AuthFailure };
  readonly _packetRW: {
    readonly write: {
      readonly allocStart: number;
      alloc(bytes: number): Buffer;
      finalize(packet: Buffer): Buffer;
    };
  };
}

const require = createRequire(import.meta.url);
const { sendPacket } = require('ssh2/lib/protocol/utils.js') as {
  readonly sendPacket: (protocol: Protocol, packet: Buffer) => void;
};
const { KexInit } = require('ssh2/lib/protocol/kex.js') as {
  KexInit: new (lists: Record<string, unknown>) => Offer;
};

/** The algorithms of host certificates, and the signature that each requires (RFC 8332; PROTOCOL.certkeys). */
export const hostCertificateAlgorithms: Readonly<Record<string, string>> = {
  'ssh-ed25519-cert-v01@openssh.com': 'ssh-ed25519',
  'ecdsa-sha2-nistp256-cert-v01@openssh.com': 'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384-cert-v01@openssh.com': 'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521-cert-v01@openssh.com': 'ecdsa-sha2-nistp521',
  'rsa-sha2-512-cert-v01@openssh.com': 'rsa-sha2-512',
  'rsa-sha2-256-cert-v01@openssh.com': 'rsa-sha2-256',
};

/**
 * Makes a client that has begun to connect send signatures as the agent returns them, with their algorithm: that
 * of a certificate is not the name of the certificate. `offering` is called for each key.
 */
export function sendCompleteSignatures(client: Client, offering: (key: ParsedKey) => void): void {
  const protocol = protocolOf(client);
  const original = protocol.authPK.bind(protocol);
  protocol.authPK = (user, key, algorithm, sign) => {
    offering(key);
    if (sign === undefined) return original(user, key, algorithm);
    original(user, key, algorithm, (data) =>
      sign(data, (signature) => {
        // The data begin with the session ID, which is not sent.
        const request = Buffer.concat([data.subarray(4 + data.readUInt32BE(0)), wireString(signature)]);
        const { write } = protocol._packetRW;
        const packet = write.alloc(request.length);
        packet.set(request, write.allocStart);
        protocol._authsQueue.push('publickey');
        sendPacket(protocol, write.finalize(packet));
      }),
    );
  };
}

/** Calls `note` with each answer of the host to a key: what it accepts next, and whether the key was accepted. */
export function onRejection(
  client: Client,
  note: (methods: readonly string[], accepted: boolean) => void,
): void {
  const { _handlers: handlers } = protocolOf(client);
  const original = handlers.USERAUTH_FAILURE;
  handlers.USERAUTH_FAILURE = (protocol, methods, accepted) => {
    note(methods, accepted);
    original(protocol, methods, accepted);
  };
}

/**
 * Makes a client that has begun to connect propose these host key algorithms, of which some may be those of
 * certificates. The host verifier receives the certificate.
 */
export function acceptHostCertificates(client: Client, algorithms: readonly string[]): void {
  const protocol = protocolOf(client);
  const { kex, cs, sc } = protocol._offer.lists;
  const arrays = (direction: Direction) =>
    Object.fromEntries(Object.entries(direction).map(([name, { array }]) => [name, [...array]]));
  protocol._offer = new KexInit({
    ...{ kex: [...kex.array], serverHostKey: [...algorithms] },
    ...{ cs: arrays(cs), sc: arrays(sc) },
  });
  let current = protocol._kex;
  // ssh2 assigns it for each exchange, the first and those that renew the keys.
  Object.defineProperty(protocol, '_kex', {
    get: () => current,
    set: (next: KeyExchange | undefined) => {
      current = next;
      if (next !== undefined) withCertificate(next);
    },
  });
}

/** Lets a key exchange that has agreed on a certificate be finished with the key in it. */
function withCertificate(exchange: KeyExchange): void {
  const { negotiated } = exchange;
  const signature = hostCertificateAlgorithms[negotiated.serverHostKey];
  if (signature === undefined) return;
  // ssh2 compares it with the type of the host key, which for RSA does not name the hash.
  if (signature.startsWith('rsa-')) negotiated.serverHostKey = 'ssh-rsa-cert-v01@openssh.com';
  const finish = exchange.finish.bind(exchange);
  exchange.finish = (...options) => {
    const blob = exchange._hostKey;
    const certificate = blob && parseCertificate(blob);
    if (certificate !== undefined) {
      negotiated.serverHostKey = signature;
      showOnce(exchange, certificate.blob, certificate.key);
    }
    return finish(...options);
  };
}

/**
 * ssh2 reads the host key first to hash it, which takes the certificate, then to verify the signature, which
 * takes the key. With any other order, the signature is not that of the hash, and the connection fails.
 */
function showOnce(exchange: KeyExchange, certificate: Buffer, key: Buffer): void {
  let reads = 0;
  Object.defineProperty(exchange, '_hostKey', {
    configurable: true,
    get: () => {
      reads += 1;
      return reads === 1 ? certificate : key;
    },
    set: (value: unknown) => {
      Object.defineProperty(exchange, '_hostKey', { value, writable: true, configurable: true });
    },
  });
}

/** Whether a host key algorithm is that of a certificate. */
export function isCertificateAlgorithm(algorithm: string): boolean {
  return certifiedType(algorithm) !== undefined;
}

function protocolOf(client: Client): Protocol {
  return (client as unknown as { _protocol: Protocol })._protocol;
}
