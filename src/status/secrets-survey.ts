/** What hosts keep of the secrets of a cluster, without their values. */
import { createHash } from 'node:crypto';
import { validUntil } from '../cluster/certificate.js';
import { isDerived, secretNames, type SecretName } from '../cluster/secrets.js';
import { isStepped, rotationState } from '../deployment/rotation.js';
import type { HostSecrets } from '../hosts/secrets.js';

/** What each one opens or proves, for people. */
const purposes: Readonly<Record<SecretName, string>> = {
  'node-ssh-key': 'SSH among nodes',
  'node-ssh-key.pub': 'its public key',
  'node-host-key': 'the sshds of nodes',
  'node-host-key.pub': 'its public key',
  'jupyter-token': 'people who use Jupyter',
  'jupyter-cookie-secret': 'their sessions',
  'proxy-api-token': 'the APIs of proxies',
  'node-api-token': 'the APIs of nodes',
  'node-kernels-token': 'the kernels of each node, for proxies',
  'zookeeper-digest': 'the znodes of Mesos',
  'mesos-credential': 'Mesos masters and agents',
  'etcd-authority': 'issues the certificates of etcd',
  'etcd-authority.crt': 'checks them',
  'etcd-member': 'members of etcd',
  'etcd-client': 'clients of etcd',
  'https-authority': 'issues the certificate for HTTPS',
  'https-authority.crt': 'checks it, in browsers',
  'https-server': 'HTTPS, with `proxy.tls: cluster`',
};

export interface SecretStatus {
  readonly name: SecretName;
  readonly purpose: string;
  /** Hosts that have it, and those that were read and have none. */
  readonly hosts: readonly string[];
  readonly lacking: readonly string[];
  /** Hosts have more than one value. */
  readonly differs: boolean;
  /** Users other than the owner may read it there. */
  readonly exposed: readonly string[];
  /** Its replacement has begun; `committed`: the new value is in force, or about to be. */
  readonly rotation?: 'prepared' | 'committed';
  /** When its certificate ends, as an ISO 8601 date; absent for what does not end, or cannot be read. */
  readonly ends?: string;
}

/** Of the hosts that could be read. */
export function secretStatuses(held: readonly HostSecrets[]): readonly SecretStatus[] {
  return secretNames.map((name) => {
    const values = held.flatMap(({ values: { [name]: value } }) => (value === undefined ? [] : [value]));
    const having = held.filter(({ values: { [name]: value } }) => value !== undefined);
    const ends = endOf(values);
    const rotation = !isDerived(name) && isStepped(name) ? rotationState(name, held) : 'none';
    return {
      name,
      purpose: purposes[name],
      hosts: having.map(({ host }) => host),
      lacking: held.filter((each) => !having.includes(each)).map(({ host }) => host),
      differs: new Set(values.map(digest)).size > 1,
      exposed: held.filter(({ exposed }) => exposed.includes(name)).map(({ host }) => host),
      ...(rotation !== 'none' && { rotation }),
      ...(ends !== undefined && { ends }),
    };
  });
}

function digest(value: string): string {
  return createHash('sha256').update(value.trim()).digest('hex');
}

/** The earliest. */
function endOf(values: readonly string[]): string | undefined {
  const ends = values.flatMap((value) => {
    try {
      return validUntil(value)?.getTime() ?? [];
    } catch {
      return [];
    }
  });
  return ends.length === 0 ? undefined : new Date(Math.min(...ends)).toISOString().slice(0, 10);
}
