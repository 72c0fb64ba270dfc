/** The certificates of a cluster, and how those that end soon or have ended are reported. Pure. */
import { expiryText, type Expiry } from '../cluster/certificate.js';
import { errorCodes, type ErrorCode } from '../errors/codes.js';
import type { Problem } from '../hosts/problem.js';

/** The secrets of hosts that contain a certificate of etcd. Of an authority, the file without its key. */
export const etcdCertificateNames = ['etcd-authority.crt', 'etcd-member', 'etcd-client'] as const;
/** The same for HTTPS with `proxy.tls: cluster`. */
export const httpsCertificateNames = ['https-authority.crt', 'https-server'] as const;
export type CertificateName = (typeof etcdCertificateNames | typeof httpsCertificateNames)[number];

interface Kind {
  /** With the place after it. */
  readonly what: string;
  readonly expired: ErrorCode;
  /** A sentence without its full stop. */
  readonly renew: string;
}

const issueAnew = 'Run `perijove up`, which issues a new one';
const kinds = {
  https: {
    what: 'the certificate for HTTPS',
    expired: 'PROXY_CERTIFICATE_EXPIRED',
    renew: 'Renew it, then run `perijove up`',
  },
  'etcd-authority.crt': {
    what: "the certificate of etcd's authority",
    expired: 'ETCD_AUTHORITY_EXPIRED',
    renew: 'Run `perijove secrets rotate etcd-authority` before that',
  },
  'etcd-member': {
    what: "the certificate of etcd's members (etcd-member)",
    expired: 'ETCD_CERTIFICATE_EXPIRED',
    renew: issueAnew,
  },
  'etcd-client': {
    what: "the certificate of etcd's clients (etcd-client)",
    expired: 'ETCD_CERTIFICATE_EXPIRED',
    renew: issueAnew,
  },
  'https-authority.crt': {
    what: "the certificate of the cluster's authority for HTTPS",
    expired: 'PROXY_CERTIFICATE_EXPIRED',
    renew: 'Run `perijove secrets rotate https-authority`, then install the new one in browsers',
  },
  'https-server': {
    what: "the cluster's certificate for HTTPS (https-server)",
    expired: 'PROXY_CERTIFICATE_EXPIRED',
    renew: issueAnew,
  },
  served: {
    what: 'the certificate that etcd shows',
    expired: 'ETCD_CERTIFICATE_EXPIRED',
    renew: 'Run `perijove up`. If etcd still shows it, drain the host of the node, then uncordon it',
  },
} as const satisfies Readonly<Record<'https' | 'served' | CertificateName, Kind>>;

/** One certificate at one place. */
export interface PlacedCertificate {
  readonly kind: keyof typeof kinds;
  /** A host, or a node for `served`. */
  readonly place: string;
  /** Null while it could not be read. */
  readonly certificate: Expiry | null;
}

/** A certificate as a host keeps it. A host that was read and has none has no entry. */
export interface HostCertificate {
  readonly host: string;
  readonly name: CertificateName;
  readonly certificate: Expiry | null;
}

export function placed(certificates: readonly HostCertificate[]): PlacedCertificate[] {
  return certificates.map(({ host, name, certificate }) => ({ kind: name, place: host, certificate }));
}

/** Sentences without their full stop, about certificates that end within 30 days. */
export function endingTexts(certificates: readonly PlacedCertificate[], now: Date): string[] {
  return byKind(certificates, 'ending').flatMap(({ kind, found }) => {
    const texts = found.map(({ place, certificate }) => ({ place, text: expiryText(certificate, now) }));
    return [...new Set(texts.map(({ text }) => text))].map((text) => {
      const places = texts.filter((each) => each.text === text).map(({ place }) => place);
      return `${kinds[kind].what} on ${places.join(', ')} ${text}. ${kinds[kind].renew}`;
    });
  });
}

/** One problem for each kind of certificate that has expired somewhere. */
export function expiredProblems(certificates: readonly PlacedCertificate[]): Problem[] {
  return byKind(certificates, 'expired').map(({ kind, found }) => {
    const { what, expired, renew } = kinds[kind];
    const places = found.map(({ place }) => place).join(', ');
    const remedy = kind === 'etcd-authority.crt' ? errorCodes[expired].remedy : `${renew}.`;
    return { code: expired, message: `${what} has expired on ${places}`, remedy };
  });
}

function byKind(certificates: readonly PlacedCertificate[], state: Expiry['state']) {
  const all = Object.keys(kinds) as readonly (keyof typeof kinds)[];
  return all.flatMap((kind) => {
    const found = certificates.flatMap((each) =>
      each.kind === kind && each.certificate?.state === state
        ? [{ place: each.place, certificate: each.certificate }]
        : [],
    );
    return found.length === 0 ? [] : [{ kind, found }];
  });
}
