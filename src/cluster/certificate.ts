/** A certificate and its key as PEM files of a person, for HTTPS: what is wrong with them, and one text of both. */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import tls from 'node:tls';
import { messageOf } from '../errors/error.js';

export interface CertificateFlaw {
  /** Where to mend it. */
  readonly of: 'certificate' | 'key';
  /** The rest of a sentence that begins with the name of the file. */
  readonly why: string;
  readonly remedy: string;
}

/** The certificates of a PEM text, in its order: that of the server first, then those that issued it. */
export function certificatesIn(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

/** One text of a key and a certificate with its issuers, which a host replaces as one file. */
export function keyAndCertificates(certificate: string, key: string): string {
  return `${[key.trim(), ...certificatesIn(certificate)].join('\n')}\n`;
}

/** Name or address by which browsers accept the certificate of a host; undefined if it names neither. */
export function nameOfHost(
  certificate: string,
  { hostname, address }: { readonly hostname: string; readonly address: string },
): string | undefined {
  const [leaf] = certificatesIn(certificate);
  if (leaf === undefined) return undefined;
  const read = new X509Certificate(leaf);
  if (read.checkHost(hostname) !== undefined) return hostname;
  return read.checkIP(address) === undefined ? undefined : address;
}

/** The names that a certificate is for, as OpenSSL prints them. */
export function namesIn(certificate: string): string {
  const [leaf] = certificatesIn(certificate);
  const read = leaf === undefined ? undefined : new X509Certificate(leaf);
  return read?.subjectAltName ?? 'no name';
}

/** Until when all certificates of a PEM text are valid; undefined if it has none. */
export function validUntil(pem: string): Date | undefined {
  const ends = certificatesIn(pem).map((each) => Date.parse(new X509Certificate(each).validTo));
  return ends.length === 0 ? undefined : new Date(Math.min(...ends));
}

/** So long before its end a certificate should be renewed. */
const renewalDays = 30;
const dayMs = 86_400_000;

/** Whether a certificate is still valid. `ending`: for less than 30 days. */
export interface Expiry {
  /** ISO 8601. */
  readonly validUntil: string;
  readonly state: 'valid' | 'ending' | 'expired';
}

export function expiryOf(until: Date, now: Date): Expiry {
  const leftMs = until.getTime() - now.getTime();
  const state = leftMs < 0 ? 'expired' : leftMs < renewalDays * dayMs ? 'ending' : 'valid';
  return { validUntil: until.toISOString(), state };
}

/** `ends in 12 days, on 2027-01-31`: the rest of a sentence. */
export function expiryText({ validUntil, state }: Expiry, now: Date): string {
  const days = Math.floor(Math.abs(Date.parse(validUntil) - now.getTime()) / dayMs);
  const span = days === 1 ? '1 day' : days === 0 ? 'less than a day' : `${days} days`;
  const when = state === 'expired' ? `expired ${span} ago` : `ends in ${span}`;
  return `${when}, on ${day(validUntil)}`;
}

const remedies = {
  pem: 'Name a PEM file: the certificate of the server first, then those that issued it.',
  keyPem: 'Name a PEM file with a private key that has no passphrase.',
  fit: 'Name the key that the certificate was issued for.',
  renew: 'Renew it, then run `perijove up`.',
  clock: 'Check the date of this machine, or wait until it is valid.',
} as const;

/** Why a server cannot use them; undefined if it can. Whether they are valid at a time matters only if it is given. */
export function certificateFlaw(certificate: string, key: string, now?: Date): CertificateFlaw | undefined {
  const chain = chainOf(certificate);
  if ('why' in chain) return chain;
  const [leaf] = chain.certificates;
  if (leaf === undefined) return { of: 'certificate', why: 'holds no certificate', remedy: remedies.pem };
  const untimely =
    now && chain.certificates.map((each) => untimelyFlaw(each, each === leaf, now)).find(Boolean);
  if (untimely) return untimely;
  const read = keyOf(key);
  if ('why' in read) return read;
  if (!leaf.checkPrivateKey(read.key)) {
    const later = chain.certificates.find((each) => each.checkPrivateKey(read.key));
    return later === undefined
      ? { of: 'key', why: `does not fit the certificate of ${nameOf(leaf)}`, remedy: remedies.fit }
      : {
          of: 'certificate',
          why: `begins with ${nameOf(leaf)}, and the key belongs to ${nameOf(later)}`,
          remedy: 'Put the certificate of the server first.',
        };
  }
  try {
    tls.createSecureContext({ cert: certificate, key });
    return undefined;
  } catch (error) {
    return { of: 'certificate', why: `is refused by OpenSSL: ${messageOf(error)}`, remedy: remedies.pem };
  }
}

function chainOf(pem: string): { readonly certificates: readonly X509Certificate[] } | CertificateFlaw {
  try {
    return { certificates: certificatesIn(pem).map((each) => new X509Certificate(each)) };
  } catch (error) {
    return { of: 'certificate', why: `cannot be read: ${messageOf(error)}`, remedy: remedies.pem };
  }
}

function untimelyFlaw(each: X509Certificate, isLeaf: boolean, now: Date): CertificateFlaw | undefined {
  const what = isLeaf ? '' : `holds the issuer ${nameOf(each)}, which `;
  const { validFrom, validTo } = each;
  if (Date.parse(validTo) < now.getTime())
    return { of: 'certificate', why: `${what}expired on ${day(validTo)}`, remedy: remedies.renew };
  if (Date.parse(validFrom) > now.getTime())
    return { of: 'certificate', why: `${what}is not valid before ${day(validFrom)}`, remedy: remedies.clock };
  return undefined;
}

function keyOf(pem: string): { readonly key: KeyObject } | CertificateFlaw {
  if (/^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem)) {
    return {
      of: 'key',
      why: 'is encrypted with a passphrase',
      remedy:
        'Write it without one: `openssl pkey -in KEY -out PLAIN-KEY`, with mode 0600. Hosts start without a person.',
    };
  }
  if (!pem.includes('PRIVATE KEY-----')) {
    return { of: 'key', why: 'holds no private key', remedy: remedies.keyPem };
  }
  try {
    return { key: createPrivateKey(pem) };
  } catch (error) {
    return { of: 'key', why: `cannot be read: ${messageOf(error)}`, remedy: remedies.keyPem };
  }
}

/** The subject on one line. */
function nameOf({ subject, subjectAltName }: X509Certificate): string {
  return (subject || subjectAltName || 'no name').replace(/\n/g, ', ');
}

/** `2027-01-31` of `Jan 31 12:00:00 2027 GMT`. */
function day(text: string): string {
  return new Date(text).toISOString().slice(0, 10);
}
