import { etcdSecurity, type ClusterSpec } from '../cluster/spec.js';
import { PerijoveError } from '../errors/error.js';
import { readSecrets } from '../hosts/secrets.js';
import type { SshPool } from '../ssh/connection.js';
import { clientTls, etcdClientSecrets, type EtcdAccess } from './security.js';

/**
 * How to speak to the members of a cluster, with the certificates that its hosts keep. Those of an earlier release keep
 * none: where the spec requires none, that is no error.
 *
 * @throws PerijoveError SSH_*, SECRETS_ABSENT, CLUSTER_HOSTS_TAKEN, OBSERVATION_INCOMPLETE
 */
export async function readEtcdAccess(
  pool: SshPool,
  spec: Pick<ClusterSpec, 'name' | 'id' | 'hosts' | 'etcd'>,
): Promise<EtcdAccess> {
  const security = etcdSecurity(spec);
  try {
    return { security, tls: clientTls(await readSecrets(pool, spec, etcdClientSecrets)) };
  } catch (error) {
    const absent = error instanceof PerijoveError && error.code === 'SECRETS_ABSENT';
    if (absent && security !== 'authenticated') return { security };
    throw error;
  }
}
