/** What clients of a cluster's etcd hold, and how they speak to its members. */
import type { EtcdSecurity } from '../cluster/spec.js';
import type { SecretName, Secrets } from '../cluster/secrets.js';

/** The secrets of a client. */
export const etcdClientSecrets = [
  'etcd-authority.crt',
  'etcd-client',
] as const satisfies readonly SecretName[];

/** By what a client knows members, and they know it. PEM texts. */
export interface ClientTls {
  readonly authority: string;
  /** Key and certificate. */
  readonly client: string;
}

export function clientTls(secrets: Pick<Secrets, (typeof etcdClientSecrets)[number]>): ClientTls {
  return { authority: secrets['etcd-authority.crt'], client: secrets['etcd-client'] };
}

/**
 * How a client speaks to members. Only where `security` is `authenticated`, it never speaks without TLS; else also
 * without, to members that do not speak it.
 */
export interface EtcdAccess {
  readonly security: EtcdSecurity;
  /** Absent where the cluster has no certificates, as those of earlier releases. */
  readonly tls?: ClientTls;
}

export const openAccess: EtcdAccess = { security: 'open' };
