/** The secrets that a node takes at its start: others in their place are in force once the node is replaced. */
import { createHash, X509Certificate } from 'node:crypto';
import { canonicalJson } from '../cluster/canonical.js';
import { certificatesIn } from '../cluster/certificate.js';
import type { SecretName, Secrets } from '../cluster/secrets.js';
import { etcdSecurity, type ClusterSpec } from '../cluster/spec.js';
import { readSecrets } from '../hosts/secrets.js';
import type { SshPool } from '../ssh/connection.js';

/** One whose value changes has its nodes replaced. */
export const startSecretNames = [
  'jupyter-token',
  'jupyter-cookie-secret',
  'node-ssh-key',
  'node-host-key',
  'etcd-authority.crt',
] as const satisfies readonly SecretName[];
const digestedNames = [...startSecretNames, 'etcd-member', 'etcd-client'] as const;
type StartSecrets = Pick<Secrets, (typeof digestedNames)[number]>;

/** See `digestOf`. @throws PerijoveError SSH_*, SECRETS_ABSENT */
export async function startSecretsDigest(pool: SshPool, spec: ClusterSpec): Promise<string> {
  return digestOf(spec, await readSecrets(pool, spec, digestedNames));
}

/**
 * SHA-256 (hex) over all of them together, private keys included, so nothing can be guessed from it. etcd reads its
 * certificate at each connection, unless it runs as another user and has a copy; the authorities that it trusts it reads at
 * its start. A client's certificate counts only by its issuer: the one before is accepted as well.
 */
export function digestOf(spec: Pick<ClusterSpec, 'etcd' | 'nodes'>, secrets: StartSecrets): string {
  const taken = {
    ...{ token: secrets['jupyter-token'], cookies: secrets['jupyter-cookie-secret'] },
    ...{ ssh: secrets['node-ssh-key'], host: secrets['node-host-key'] },
    ...(etcdSecurity(spec) !== 'open' && { etcd: takenByEtcd(spec, secrets) }),
  };
  return createHash('sha256').update(canonicalJson(taken)).digest('hex');
}

function takenByEtcd({ nodes }: Pick<ClusterSpec, 'nodes'>, secrets: StartSecrets) {
  const authorities = certificatesIn(secrets['etcd-authority.crt']).toSorted();
  const hasCopy = (nodes.user?.uid ?? 0) !== 0;
  return {
    authorities,
    client: issuerOf(secrets['etcd-client'], authorities),
    ...(hasCopy && { member: secrets['etcd-member'] }),
  };
}

function issuerOf(pem: string, authorities: readonly string[]): string | undefined {
  const issued = new X509Certificate(certificatesIn(pem)[0] ?? '');
  return authorities.find((each) => issued.verify(new X509Certificate(each).publicKey));
}
