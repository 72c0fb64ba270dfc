import { expiryOf, validUntil, type Expiry } from '../cluster/certificate.js';
import type { HostSpec } from '../cluster/spec.js';
import { PerijoveError } from '../errors/error.js';
import { hostSecrets } from '../hosts/secrets.js';
import { within } from '../net/deadline.js';
import type { SshPool } from '../ssh/connection.js';
import type { CertificateName, HostCertificate } from './certificates.js';

/**
 * When the certificates end that hosts keep. Unknown for a host that does not answer in time, and for a file
 * that has no certificate. Never rejects.
 */
export async function surveyCertificates(
  pool: SshPool,
  hosts: readonly HostSpec[],
  names: readonly CertificateName[],
  { now, timeoutMs }: { readonly now: Date; readonly timeoutMs: number },
): Promise<readonly HostCertificate[]> {
  const ofHosts = hosts.map(async (host) => {
    const values = await within(
      timeoutMs,
      pool.get(host).then((connection) => hostSecrets(connection, names)),
      () => new PerijoveError('SSH_TIMEOUT', 'no answer in time', { host: host.name }),
    ).then(
      (held) => held.values,
      () => undefined,
    );
    return names.flatMap((name): HostCertificate[] => {
      if (values === undefined) return [{ host: host.name, name, certificate: null }];
      const pem = values[name];
      return pem === undefined ? [] : [{ host: host.name, name, certificate: expiryIn(pem, now) }];
    });
  });
  return (await Promise.all(ofHosts)).flat();
}

function expiryIn(pem: string, now: Date): Expiry | null {
  try {
    const until = validUntil(pem);
    return until === undefined ? null : expiryOf(until, now);
  } catch {
    return null;
  }
}
