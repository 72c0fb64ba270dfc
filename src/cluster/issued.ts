/** Certificates that an authority of the cluster has issued, as PEM texts: whether they can be used. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { CertifiedNames } from './authority.js';
import { certificatesIn } from './certificate.js';

/** From then on a deployment replaces a certificate. */
const renewMs = 365 * 86_400_000;

/** The certificates by which others are checked: those of authorities, without their keys. */
export function authorityCertificates(authorities: string): string {
  return `${[...new Set(certificatesIn(authorities))].join('\n')}\n`;
}

/**
 * Whether an issued text is to be used: of this authority, for these names, and valid for more than a year. A new one
 * would end with the authority: one that lasts as long as that is used to its end.
 */
export function isCurrent(
  issued: string,
  authority: string,
  { names, addresses }: CertifiedNames,
  now: Date,
): boolean {
  try {
    const [own, issuer] = [issued, authority].map((pem) => new X509Certificate(certificatesIn(pem)[0] ?? ''));
    return (
      own !== undefined &&
      issuer !== undefined &&
      own.verify(issuer.publicKey) &&
      own.checkPrivateKey(createPrivateKey(issued)) &&
      names.every((name) => own.checkHost(name) !== undefined) &&
      addresses.every((address) => own.checkIP(address) !== undefined) &&
      Date.parse(own.validFrom) <= now.getTime() &&
      (Date.parse(own.validTo) - now.getTime() > renewMs ||
        Date.parse(own.validTo) >= Date.parse(issuer.validTo))
    );
  } catch {
    return false;
  }
}

/** Why a text is no authority; undefined if it is one. */
export function authorityFlaw(authority: string): string | undefined {
  try {
    const certificate = new X509Certificate(certificatesIn(authority)[0] ?? '');
    if (!certificate.ca) return 'its certificate is not that of an authority';
    return certificate.checkPrivateKey(createPrivateKey(authority))
      ? undefined
      : 'its key does not fit its certificate';
  } catch {
    return 'it has no key and certificate';
  }
}
