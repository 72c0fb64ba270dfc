/** The certificates of a cluster's etcd, as PEM texts: what they are for, and whether they can be used. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { certificatesIn } from '../cluster/certificate.js';
import { nodeAddress, nodeNames, type ClusterSpec } from '../cluster/spec.js';

/** What the certificate of the members is for. */
export interface MemberNames {
  /** DNS names. */
  readonly names: readonly string[];
  /** IPv4 addresses that members serve at, or that their connections come from. */
  readonly addresses: readonly string[];
}

/** From then on a deployment replaces a certificate. */
const renewMs = 365 * 86_400_000;

/** By which clients know a member, wherever a tunnel to it begins. */
export const memberName = 'etcd';

/**
 * All members have one certificate, since all have the same secrets anyway. A network may give connections of a node
 * the address of its host.
 */
export function memberNames(spec: ClusterSpec): MemberNames {
  const ofNodes = nodeNames(spec).map((_, index) => nodeAddress(spec, index));
  const ofHosts = spec.hosts.map(({ address }) => address);
  return {
    names: [memberName, 'localhost'],
    addresses: [...new Set([...ofNodes, ...ofHosts, '127.0.0.1'])],
  };
}

/** The certificates by which others are checked: those of authorities, without their keys. */
export function authorityCertificates(authorities: string): string {
  return `${[...new Set(certificatesIn(authorities))].join('\n')}\n`;
}

/**
 * Whether a member's or client's text is to be used: of this authority, for these names, and valid for long enough. A new
 * one would end with the authority: one that lasts as long as that is used to its end.
 */
export function isCurrent(
  issued: string,
  authority: string,
  { names, addresses }: MemberNames,
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
