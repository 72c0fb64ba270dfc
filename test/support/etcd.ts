import { readFile } from 'node:fs/promises';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import { clientTls, type EtcdAccess } from '../../src/etcd/security.js';
import { hostPaths } from '../../src/hosts/paths.js';

/** How to speak to the etcd of a lab, by the files of its first host. */
export async function labEtcdAccess({ hosts: [host] }: Pick<ClusterSpec, 'hosts'>): Promise<EtcdAccess> {
  if (host === undefined) throw new Error('no host');
  const secret = (name: string) => readFile(`${hostPaths(host).secrets}/${name}`, 'utf8');
  const tls = clientTls({
    'etcd-authority.crt': await secret('etcd-authority.crt'),
    'etcd-client': await secret('etcd-client'),
  });
  return { security: 'authenticated', tls };
}
