import { readSecrets } from '../../hosts/secrets.js';
import type { ClusterSpec } from '../../cluster/spec.js';
import type { SshPool } from '../../ssh/connection.js';
import { parseCredential, type Credential } from '../masters/http.js';

/** The secrets for masters and the ensemble, if the spec requires them. */
export interface MesosSecrets {
  /** Present if the spec names a principal. */
  readonly credential?: Credential;
  /** `user:password`, present if the spec protects Mesos' znodes. */
  readonly digest?: string;
}

export interface SchedulerSecrets extends MesosSecrets {
  readonly nodeApiToken: string;
}

/** The secrets of a scheduler. @throws PerijoveError SSH_*, SECRETS_ABSENT, SECRETS_DAMAGED */
export async function readSchedulerSecrets(pool: SshPool, spec: ClusterSpec): Promise<SchedulerSecrets> {
  const [secrets, mesos] = await Promise.all([
    readSecrets(pool, spec, ['node-api-token']),
    readMesosSecrets(pool, spec),
  ]);
  return { nodeApiToken: secrets['node-api-token'], ...mesos };
}

/**
 * Empty if the spec sets neither a principal nor a digest; no host is asked then.
 *
 * @throws PerijoveError SSH_*, SECRETS_ABSENT, SECRETS_DAMAGED
 */
export async function readMesosSecrets(pool: SshPool, spec: ClusterSpec): Promise<MesosSecrets> {
  const { principal } = spec.mesos;
  const [credential, digest] = await Promise.all([
    principal === undefined ? undefined : readSecrets(pool, spec, ['mesos-credential']),
    spec.zookeeper.digest ? readSecrets(pool, spec, ['zookeeper-digest']) : undefined,
  ]);
  return {
    ...(credential && { credential: parseCredential(credential['mesos-credential']) }),
    ...(digest && { digest: digest['zookeeper-digest'] }),
  };
}
