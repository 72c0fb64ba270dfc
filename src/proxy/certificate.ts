/** The certificate by which proxies serve HTTPS with `proxy.tls: cluster`. */
import { isIP } from 'node:net';
import type { CertifiedNames } from '../cluster/authority.js';
import type { ClusterSpec } from '../cluster/spec.js';

/** What people may write in a browser: names and addresses of the hosts. All proxies have one certificate. */
export function serverNames(spec: Pick<ClusterSpec, 'hosts'>): CertifiedNames {
  const hosts = spec.hosts.filter(({ roles }) => roles.includes('proxy'));
  const written = hosts.flatMap(({ name, hostname, address }) => [name, hostname, address]);
  const all = [...new Set([...written, 'localhost', '127.0.0.1'])];
  return {
    names: all.filter((each) => isIP(each) === 0),
    addresses: all.filter((each) => isIP(each) === 4),
  };
}
