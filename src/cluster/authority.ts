/**
 * Issues the certificates of a cluster: an authority for etcd, with a certificate for all members and one for their
 * clients; and another authority for HTTPS, with a certificate for all proxies. PEM texts with the key first.
 */
// What the library of certificates needs, before it.
import 'reflect-metadata';
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate as Certificate,
  X509CertificateGenerator,
  type JsonGeneralName,
} from '@peculiar/x509';
import { certificatesIn, keyAndCertificates } from './certificate.js';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 86_400_000;
/** The clocks of hosts differ. */
const beforeMs = 2 * dayMs;
/** Nobody renews a certificate while nobody deploys. */
const longestMs = 3_650 * dayMs;
/** Browsers refuse one for a server that lasts longer than 825 days. */
const serverLastsMs = 800 * dayMs;
/** What it issues must last as long after half of its time, too. */
const authorityLastsMs = 2 * longestMs;

/** What a certificate is for. */
export interface CertifiedNames {
  /** DNS names. */
  readonly names: readonly string[];
  /** IPv4 addresses. */
  readonly addresses: readonly string[];
}

/**
 * The key and the certificate of a new authority. No other one has its name: OpenSSL takes an issuer by its name, and of two
 * that are trusted while one replaces the other, it tries the first alone.
 */
export async function makeAuthority(
  cluster: string,
  now: Date,
  purpose: 'etcd' | 'HTTPS' = 'etcd',
): Promise<string> {
  const keys = await makeKeys();
  const number = randomBytes(8).toString('hex');
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...period(now, authorityLastsMs),
    serialNumber: serialNumber(),
    // A common name has at most 64 characters.
    name: nameOf(`${cluster.slice(0, 24)} ${purpose} authority ${number}`),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return bundle(keys, certificate);
}

/** For members, who are servers and clients of each other; etcd compares a peer's address with its names. */
export async function issueMember(authority: string, names: CertifiedNames, now: Date): Promise<string> {
  const usage = [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth];
  return issue(authority, { what: 'etcd member', usage, names }, now);
}

/** For proxies, as browsers know them. */
export async function issueServer(authority: string, names: CertifiedNames, now: Date): Promise<string> {
  const usage = [ExtendedKeyUsage.serverAuth];
  return issue(authority, { what: 'Jupyter', usage, names, lastsMs: serverLastsMs }, now);
}

/** For clients, whose address may be any: etcd compares only names that there are. */
export async function issueClient(authority: string, now: Date): Promise<string> {
  return issue(authority, { what: 'etcd client', usage: [ExtendedKeyUsage.clientAuth] }, now);
}

interface Subject {
  readonly what: string;
  readonly usage: ExtendedKeyUsage[];
  readonly names?: CertifiedNames;
  /** Ten years if absent. */
  readonly lastsMs?: number;
}

async function issue(
  authority: string,
  { what, usage, names, lastsMs = longestMs }: Subject,
  now: Date,
): Promise<string> {
  const issuer = new Certificate(certificatesIn(authority)[0] ?? '');
  const keys = await makeKeys();
  const certificate = await X509CertificateGenerator.create({
    // No certificate outlives the one that issued it.
    ...period(now, Math.min(lastsMs, issuer.notAfter.getTime() - now.getTime())),
    serialNumber: serialNumber(),
    subject: nameOf(what),
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey: await signingKey(authority),
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension(usage),
      ...(names ? [new SubjectAlternativeNameExtension(generalNames(names))] : []),
    ],
  });
  return bundle(keys, certificate);
}

function generalNames({ names, addresses }: CertifiedNames): JsonGeneralName[] {
  return [
    ...names.map((value) => ({ type: 'dns', value }) as const),
    ...addresses.map((value) => ({ type: 'ip', value }) as const),
  ];
}

function period(now: Date, forMs: number) {
  return { notBefore: new Date(now.getTime() - beforeMs), notAfter: new Date(now.getTime() + forMs) };
}

/** Positive, and of at most 20 bytes (RFC 5280, 4.1.2.2). */
function serialNumber(): string {
  return `4${randomBytes(16).toString('hex').slice(1)}`;
}

function nameOf(commonName: string) {
  return [{ O: ['Perijove'] }, { CN: [commonName] }];
}

async function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function signingKey(authority: string): Promise<webcrypto.CryptoKey> {
  const key = createPrivateKey(authority).export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', key, algorithm, false, ['sign']);
}

async function bundle({ privateKey }: webcrypto.CryptoKeyPair, certificate: Certificate): Promise<string> {
  const key = PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', privateKey), 'PRIVATE KEY');
  return keyAndCertificates(certificate.toString('pem'), key);
}
