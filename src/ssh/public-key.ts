import { verify, type KeyObject } from 'node:crypto';
import ssh2 from 'ssh2';
import { mpint, WireReader, wireString } from './wire.js';

/** The names of elliptic curves: of SSH (RFC 5656) by that of JSON Web Keys, and their hashes and sizes. */
const curves = [
  { jwk: 'P-256', ssh: 'nistp256', hash: 'sha256', bytes: 32 },
  { jwk: 'P-384', ssh: 'nistp384', hash: 'sha384', bytes: 48 },
  { jwk: 'P-521', ssh: 'nistp521', hash: 'sha512', bytes: 66 },
] as const;

/** Signature algorithms of RSA keys that are not broken. `ssh-rsa` signs with SHA-1. */
const rsaHashes: Readonly<Record<string, string>> = { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' };

/** The public key in SSH wire format (RFC 4253, 6.6); undefined for kinds of keys that SSH does not have. */
export function sshBlob(key: KeyObject): Buffer | undefined {
  const { kty, crv, n, e, x, y } = key.export({ format: 'jwk' });
  const number = (text: string | undefined) => Buffer.from(text ?? '', 'base64url');
  if (kty === 'RSA') return Buffer.concat([wireString('ssh-rsa'), mpint(number(e)), mpint(number(n))]);
  if (kty === 'OKP' && crv === 'Ed25519')
    return Buffer.concat([wireString('ssh-ed25519'), wireString(number(x))]);
  const curve = curves.find(({ jwk }) => jwk === crv);
  if (kty !== 'EC' || curve === undefined) return undefined;
  const point = Buffer.concat([Buffer.from([4]), number(x), number(y)]);
  return Buffer.concat([wireString(`ecdsa-sha2-${curve.ssh}`), wireString(curve.ssh), wireString(point)]);
}

/** The curve of an ECDSA key or signature, such as `ecdsa-sha2-nistp256`. */
export function curveOf(type: string): (typeof curves)[number] | undefined {
  return curves.find(({ ssh }) => type === `ecdsa-sha2-${ssh}`);
}

/**
 * Verifies a signature in SSH wire format. False for any algorithm that does not fit the key, for signatures
 * with SHA-1, and for kinds of keys other than Ed25519, ECDSA and RSA.
 */
export function verifies(blob: Buffer, data: Buffer, signature: Buffer): boolean {
  try {
    const reader = new WireReader(signature);
    const algorithm = reader.text();
    const value = reader.string();
    const type = new WireReader(blob).text();
    const parsed = ssh2.utils.parseKey(blob);
    if (parsed instanceof Error || !reader.done) return false;
    const key = [parsed].flat()[0]?.getPublicPEM() ?? '';
    if (type === 'ssh-rsa') {
      const hash = rsaHashes[algorithm];
      return hash !== undefined && verify(hash, data, key, value);
    }
    if (algorithm !== type) return false;
    if (type === 'ssh-ed25519') return verify(null, data, key, value);
    const curve = curveOf(type);
    if (curve === undefined) return false;
    const numbers = new WireReader(value);
    const fixed = [numbers.string(), numbers.string()].map((number) => padded(number, curve.bytes));
    return verify(curve.hash, data, { key, dsaEncoding: 'ieee-p1363' }, Buffer.concat(fixed));
  } catch {
    return false;
  }
}

/** An integer without its sign, with leading zeros up to `length`. @throws RangeError if it is longer */
function padded(integer: Buffer, length: number): Buffer {
  let start = 0;
  while (start < integer.length && integer[start] === 0) start += 1;
  const digits = integer.subarray(start);
  return Buffer.concat([Buffer.alloc(length - digits.length), digits]);
}
