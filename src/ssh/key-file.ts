import { createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import ssh2 from 'ssh2';
import { messageOf } from '../errors/error.js';
import { certifiedType } from './certificate.js';
import { curveOf, sshBlob } from './public-key.js';
import { mpint, WireReader, wireString } from './wire.js';

/** What a key file holds. `blob` is the public key in SSH wire format. */
export type KeyFile =
  | { readonly kind: 'private'; readonly blob: Buffer; readonly key: KeyObject }
  /** Has a passphrase that was not given or is another one. OpenSSH's own format shows the public key nevertheless. */
  | { readonly kind: 'encrypted'; readonly blob?: Buffer }
  /** A public key, or a private key of which only the public part can be used, as of a security token. */
  | { readonly kind: 'public'; readonly blob: Buffer }
  /** `kindOfKey` is known if it was read. */
  | { readonly kind: 'unusable'; readonly why: string; readonly kindOfKey?: string };

/**
 * Reads the text of a key file: OpenSSH, PEM (PKCS#1, SEC1), PKCS#8 and PuTTY, with or without a passphrase, or
 * a public key.
 */
export function parseKeyFile(bytes: Buffer, passphrase: string | undefined): KeyFile {
  const text = bytes.toString('latin1');
  const pkcs8 = /-----BEGIN (ENCRYPTED )?PRIVATE KEY-----/.exec(text);
  if (pkcs8 !== null) return parsePkcs8(bytes, pkcs8[1] !== undefined, passphrase);
  const { blob, locked } = publicPart(text);
  const parsed = ssh2.utils.parseKey(bytes, passphrase);
  if (parsed instanceof Error) {
    // ssh2 has no code for a passphrase; the text is that of its key parser.
    if (locked ?? /passphrase|integrity check|bad decrypt/i.test(parsed.message))
      return { kind: 'encrypted', ...(blob !== undefined && { blob }) };
    const isPublic = !text.includes('PRIVATE KEY');
    return blob !== undefined && (isPublic || plainType(blob).startsWith('sk-'))
      ? { kind: 'public', blob }
      : { kind: 'unusable', why: parsed.message };
  }
  const [key] = [parsed].flat();
  if (key?.isPrivateKey() !== true)
    return blob === undefined ? { kind: 'unusable', why: 'it holds no key' } : { kind: 'public', blob };
  return usable(() => createPrivateKey(key.getPrivatePEM()));
}

function parsePkcs8(bytes: Buffer, encrypted: boolean, passphrase: string | undefined): KeyFile {
  if (encrypted && passphrase === undefined) return { kind: 'encrypted' };
  const found = usable(() => createPrivateKey({ key: bytes, ...(encrypted && { passphrase }) }));
  return encrypted && found.kind === 'unusable' && found.kindOfKey === undefined
    ? { kind: 'encrypted' }
    : found;
}

function usable(read: () => KeyObject): KeyFile {
  let key: KeyObject;
  try {
    key = read();
  } catch (error) {
    return { kind: 'unusable', why: messageOf(error) };
  }
  const kind = key.asymmetricKeyType ?? 'unknown';
  const blob = ['rsa', 'ec', 'ed25519'].includes(kind) ? sshBlob(createPublicKey(key)) : undefined;
  return blob === undefined
    ? { kind: 'unusable', why: `SSH has no keys of its kind (${kind})`, kindOfKey: kind }
    : { kind: 'private', blob, key };
}

interface PublicPart {
  readonly blob?: Buffer;
  /** Whether the private part has a passphrase; undefined: unknown. */
  readonly locked?: boolean;
}

/** The public key in a private key file of OpenSSH (PROTOCOL.key), or in a file of a public key. */
function publicPart(text: string): PublicPart {
  const own = /-----BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END/.exec(text)?.[1];
  if (own === undefined) {
    const blob = parsePublicLine(text);
    return blob === undefined ? {} : { blob };
  }
  try {
    const magic = 'openssh-key-v1\0';
    const bytes = Buffer.from(own, 'base64');
    if (bytes.toString('latin1', 0, magic.length) !== magic) return {};
    const reader = new WireReader(bytes.subarray(magic.length));
    const locked = reader.text() !== 'none';
    reader.string(); // key derivation
    reader.string(); // its options
    return reader.uint32() === 1 ? { blob: reader.string(), locked } : { locked };
  } catch {
    return {};
  }
}

/** The key or certificate of a line such as `ssh-ed25519 AAAA… comment`. */
export function parsePublicLine(text: string): Buffer | undefined {
  const [type, base64] = text.trim().split(/\s+/);
  if (type === undefined || base64 === undefined || !/^(ssh-|ecdsa-|sk-)/.test(type)) return undefined;
  const blob = Buffer.from(base64, 'base64');
  try {
    return new WireReader(blob).text() === type ? blob : undefined;
  } catch {
    return undefined;
  }
}

/** A signature with a private key, in SSH wire format. `hash` is used for RSA keys. */
export function signatureBy(key: KeyObject, blob: Buffer, data: Buffer, hash = 'sha512'): Buffer {
  const type = plainType(blob);
  if (type === 'ssh-rsa') {
    const algorithm = { sha1: 'ssh-rsa', sha256: 'rsa-sha2-256' }[hash] ?? 'rsa-sha2-512';
    const digest = algorithm === 'rsa-sha2-512' ? 'sha512' : hash;
    return Buffer.concat([wireString(algorithm), wireString(sign(digest, data, key))]);
  }
  const curve = curveOf(type);
  if (curve === undefined) return Buffer.concat([wireString(type), wireString(sign(null, data, key))]);
  const both = sign(curve.hash, data, { key, dsaEncoding: 'ieee-p1363' });
  const numbers = [both.subarray(0, curve.bytes), both.subarray(curve.bytes)].map(mpint);
  return Buffer.concat([wireString(type), wireString(Buffer.concat(numbers))]);
}

/** The type of a key, or of the key in a certificate. */
export function plainType(blob: Buffer): string {
  const type = new WireReader(blob).text();
  return certifiedType(type) ?? type;
}
