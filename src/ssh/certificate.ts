import { fingerprint, matchesPattern } from './known-hosts.js';
import { verifies } from './public-key.js';
import { WireReader, wireString } from './wire.js';

/** An OpenSSH certificate (PROTOCOL.certkeys of OpenSSH). */
export interface Certificate {
  /** All of it, in wire format. */
  readonly blob: Buffer;
  /** Such as `ssh-ed25519-cert-v01@openssh.com`. */
  readonly type: string;
  /** The key that it is about, without the certificate. */
  readonly key: Buffer;
  readonly kind: 'user' | 'host' | 'other';
  readonly keyId: string;
  /** Names that it is valid for; empty: any. */
  readonly principals: readonly string[];
  /** Seconds since 1970. */
  readonly validAfter: bigint;
  readonly validBefore: bigint;
  readonly criticalOptions: readonly string[];
  /** The key of the authority. */
  readonly authority: Buffer;
  /** Whether the signature is that of `authority`. */
  readonly signed: boolean;
}

const suffix = '-cert-v01@openssh.com';

/** How many fields the key of each type has. */
const keyFields: Readonly<Record<string, number>> = {
  'ssh-ed25519': 1,
  'ssh-rsa': 2,
  'ecdsa-sha2-nistp256': 2,
  'ecdsa-sha2-nistp384': 2,
  'ecdsa-sha2-nistp521': 2,
  'sk-ssh-ed25519@openssh.com': 2,
  'sk-ecdsa-sha2-nistp256@openssh.com': 3,
};

/** The type of the key in a certificate; undefined if the type is not that of a certificate. */
export function certifiedType(type: string): string | undefined {
  if (!type.endsWith(suffix)) return undefined;
  const plain = type.slice(0, -suffix.length);
  return plain.startsWith('sk-') ? `${plain}@openssh.com` : plain;
}

/** Parses a certificate in wire format; undefined if it is not one. */
export function parseCertificate(blob: Buffer): Certificate | undefined {
  try {
    const reader = new WireReader(blob);
    const type = reader.text();
    const plain = certifiedType(type);
    const fields = plain === undefined ? undefined : keyFields[plain];
    if (plain === undefined || fields === undefined) return undefined;
    reader.string(); // nonce
    const start = reader.position;
    for (let field = 0; field < fields; field += 1) reader.string();
    const key = Buffer.concat([wireString(plain), blob.subarray(start, reader.position)]);
    reader.uint64(); // serial number
    const kind = reader.uint32();
    const keyId = reader.text();
    const principals = texts(reader.string());
    const validAfter = reader.uint64();
    const validBefore = reader.uint64();
    const criticalOptions = texts(reader.string(), 2);
    reader.string(); // extensions
    reader.string(); // reserved
    const authority = reader.string();
    const tbs = blob.subarray(0, reader.position);
    const signature = reader.string();
    if (!reader.done) return undefined;
    return {
      ...{ blob, type, key, keyId, principals, validAfter, validBefore, criticalOptions, authority },
      kind: kind === 1 ? 'user' : kind === 2 ? 'host' : 'other',
      signed: verifies(authority, tbs, signature),
    };
  } catch {
    return undefined;
  }
}

/** Every `step`th string of a list. */
function texts(bytes: Buffer, step = 1): string[] {
  const reader = new WireReader(bytes);
  const found: string[] = [];
  for (let index = 0; !reader.done; index += 1) {
    const text = reader.text();
    if (index % step === 0) found.push(text);
  }
  return found;
}

/** Why the time of a certificate is not that of `now`; undefined if it is valid. */
export function outOfTime({ validAfter, validBefore }: Certificate, now: Date): string | undefined {
  const seconds = BigInt(Math.floor(now.getTime() / 1000));
  if (seconds < validAfter) return `is not valid before ${dateText(validAfter)}`;
  if (seconds >= validBefore) return `expired at ${dateText(validBefore)}`;
  return undefined;
}

/**
 * Why a certificate does not prove that a host has the name; undefined if it does. It must be signed by
 * `authority`, for hosts, for the name and for now, and have no critical option, since none is defined for hosts.
 */
export function hostCertificateFlaw(certificate: Certificate, name: string, now: Date): string | undefined {
  const { kind, signed, principals, criticalOptions, authority } = certificate;
  if (!signed)
    return `is not signed by its authority ${fingerprint(authority)}, or in a way that is not safe`;
  if (kind !== 'host') return 'is not one of a host';
  const late = outOfTime(certificate, now);
  if (late !== undefined) return late;
  if (principals.length > 0 && !principals.some((each) => matchesPattern(each, name)))
    return `is for ${principals.join(', ')}, not for ${name}`;
  if (criticalOptions.length > 0) return `has unknown critical options: ${criticalOptions.join(', ')}`;
  return undefined;
}

function dateText(seconds: bigint): string {
  const date = new Date(Number(seconds) * 1000);
  return Number.isNaN(date.getTime()) ? `second ${seconds}` : date.toISOString().replace('.000Z', 'Z');
}
