import { readFile } from 'node:fs/promises';
import { etcdClientSecrets, type ClientTls, type EtcdAccess } from '../../etcd/security.js';
import { isMissing } from '../../net/files.js';
import type { NodeConfig } from '../config.js';
import { nodeLayout } from '../layout.js';
import { readSecret } from './prepare.js';

/** How the node speaks to its own member of etcd. Throws NODE_CONFIG_INVALID when a certificate that it needs is missing. */
export async function etcdAccess(config: Pick<NodeConfig, 'etcd' | 'paths'>): Promise<EtcdAccess> {
  const { security = 'open' } = config.etcd;
  const tls = security === 'open' ? await tlsIfThere(config) : await tlsOf(config);
  return { security, ...(tls && { tls }) };
}

/**
 * How the node speaks to the other members. Before they reach its own by TLS, they may not know TLS yet; later it takes
 * no answer without.
 */
export async function peerAccess(config: Pick<NodeConfig, 'etcd' | 'paths'>): Promise<EtcdAccess> {
  const access = await etcdAccess(config);
  if (access.security !== 'authenticated') return access;
  const isClosed = await isThere(nodeLayout(config.paths.base).etcdPeerTls);
  return isClosed ? access : { ...access, security: 'transition' };
}

async function tlsOf({ paths }: Pick<NodeConfig, 'paths'>): Promise<ClientTls> {
  const [authority, client] = etcdClientSecrets;
  return {
    authority: await readSecret({ paths }, authority),
    client: await readSecret({ paths }, client),
  };
}

/** Members on their way from TLS answer by it alone; a host that an earlier release deployed has no certificates. */
async function tlsIfThere({ paths }: Pick<NodeConfig, 'paths'>): Promise<ClientTls | undefined> {
  const [authority, client] = await Promise.all(
    etcdClientSecrets.map((name) =>
      readFile(`${paths.secrets}/${name}`, 'utf8').catch((error: unknown) => {
        if (isMissing(error)) return '';
        throw error;
      }),
    ),
  );
  return authority && client ? { authority, client } : undefined;
}

/** Rejects where that cannot be told. */
export async function isThere(file: string): Promise<boolean> {
  return readFile(file).then(
    () => true,
    (error: unknown) => {
      if (isMissing(error)) return false;
      throw error;
    },
  );
}
