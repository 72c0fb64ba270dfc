import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { describe, expect, it } from 'vitest';
import { certificatesIn } from '../../src/cluster/certificate.js';
import { issueClient, issueMember, makeAuthority } from '../../src/cluster/authority.js';
import { servedUntil } from '../../src/proxy/served-certificate.js';

const day = 86_400_000;
const made = new Date(Math.floor(Date.now() / 1_000) * 1_000);
const authority = await makeAuthority('served', made);
const member = await issueMember(authority, { names: ['etcd'], addresses: [] }, made);
const memberEnd = new Date(made.getTime() + 3_650 * day);

async function servedBy(options: tls.TlsOptions, own?: string): Promise<Date> {
  const server = tls.createServer(options);
  server.on('tlsClientError', () => undefined);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    return await servedUntil({ host: '127.0.0.1', port }, 5_000, own);
  } finally {
    server.close();
  }
}

describe('servedUntil', () => {
  it('reads a certificate that comes without its issuer, as etcd shows it', async () => {
    await expect(servedBy({ key: member, cert: member })).resolves.toEqual(memberEnd);
  });

  it('takes the earliest end of a certificate and its issuers', async () => {
    const [, ...chain] = [authority, ...certificatesIn(member), ...certificatesIn(authority)];
    await expect(servedBy({ key: member, cert: chain.join('\n') })).resolves.toEqual(memberEnd);
  });

  it('shows its own certificate to a server that asks for one', async () => {
    const client = await issueClient(authority, made);
    const asking = { key: member, cert: member, ca: certificatesIn(authority), requestCert: true };
    await expect(servedBy(asking, client)).resolves.toEqual(memberEnd);
  });

  it('rejects where no TLS is spoken', async () => {
    await expect(servedUntil({ host: '127.0.0.1', port: 1 }, 5_000)).rejects.toThrow(/ECONNREFUSED/);
  });
});
