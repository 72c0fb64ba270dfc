import { readSecrets } from '../hosts/secrets.js';
import type { ClusterSpec } from '../spec/cluster.js';
import type { SshPool } from '../ssh/connection.js';
import { parseCredential, type Credential } from './master-http.js';

export interface SchedulerSecrets {
  readonly nodeApiToken: string;
  /** Where the spec names a principal. */
  readonly credential?: Credential;
}

/** What a scheduler needs. @throws PerijoveError SSH_*, SECRETS_ABSENT, MESOS_REFUSED */
export async function readSchedulerSecrets(pool: SshPool, spec: ClusterSpec): Promise<SchedulerSecrets> {
  const [secrets, credential] = await Promise.all([
    readSecrets(pool, spec, ['node-api-token']),
    readMesosCredential(pool, spec),
  ]);
  const nodeApiToken = secrets['node-api-token'];
  return credential === undefined ? { nodeApiToken } : { nodeApiToken, credential };
}

/**
 * What masters are asked with; undefined where the spec sets no principal, and masters ask for none.
 *
 * @throws PerijoveError SSH_*, SECRETS_ABSENT; MESOS_REFUSED when the credential cannot be read
 */
export async function readMesosCredential(pool: SshPool, spec: ClusterSpec): Promise<Credential | undefined> {
  if (spec.mesos.principal === undefined) return undefined;
  const secrets = await readSecrets(pool, spec, ['mesos-credential']);
  return parseCredential(secrets['mesos-credential']);
}
