import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { describe, expect, it } from 'vitest';
import { certificatesIn } from '../../src/cluster/certificate.js';
import { issueClient, issueMember, issueServer, makeAuthority } from '../../src/cluster/authority.js';

const now = new Date();
const names = { names: ['etcd'], addresses: ['127.0.0.1'] };
const [first, second, foreign] = await Promise.all([1, 2, 3].map(() => makeAuthority('a', now)));
const trusted = [...certificatesIn(first ?? ''), ...certificatesIn(second ?? '')];

/** Whether a server and a client that trust these know each other. */
async function know(
  ca: string[],
  issuers: { readonly server: string; readonly client: string },
  shown?: string,
) {
  const member = await issueMember(issuers.server, names, now);
  const client = shown ?? (await issueClient(issuers.client, now));
  const server = tls.createServer({
    key: member,
    cert: member,
    ca,
    requestCert: true,
    rejectUnauthorized: false,
  });
  const accepted = once(server, 'secureConnection') as Promise<[tls.TLSSocket]>;
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const host = '127.0.0.1';
  const socket = tls.connect({
    host,
    port,
    ca,
    key: client,
    cert: client,
    servername: 'etcd',
    rejectUnauthorized: false,
  });
  try {
    await once(socket, 'secureConnect');
    const [peer] = await accepted;
    return { server: socket.authorized, client: peer.authorized };
  } finally {
    socket.destroy();
    server.close();
  }
}

describe('an authority', () => {
  it.each([
    ['the old one before the new one', trusted],
    ['the new one before the old one', trusted.toReversed()],
  ])('and the one that replaces it are trusted beside each other: %s', async (_, ca) => {
    for (const server of [first ?? '', second ?? '']) {
      for (const client of [first ?? '', second ?? '']) {
        expect(await know(ca, { server, client })).toEqual({ server: true, client: true });
      }
    }
    const stranger = await know(ca, { server: foreign ?? '', client: foreign ?? '' });
    expect(stranger).toEqual({ server: false, client: false });
  });

  it('for HTTPS issues for browsers alone: etcd takes none of its certificates, whatever they are for', async () => {
    const https = await makeAuthority('a', now, 'HTTPS');
    const server = await issueServer(https, names, now);
    const { ca, keyUsage, validTo } = new X509Certificate(certificatesIn(server)[0] ?? '');
    expect(ca).toBe(false);
    expect(keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(Date.parse(validTo) - now.getTime()).toBeLessThan(825 * 86_400_000);
    expect(await know(trusted, { server: first ?? '', client: https })).toEqual({
      server: true,
      client: false,
    });
    expect(await know(certificatesIn(https), { server: https, client: first ?? '' })).toEqual({
      server: true,
      client: false,
    });
    // By its usage alone it is no client's, even where its authority is trusted.
    expect(await know(certificatesIn(https), { server: https, client: https }, server)).toEqual({
      server: true,
      client: false,
    });
  });

  it('lasts longer than what it issues, and has a name of at most 64 characters', async () => {
    const long = await makeAuthority('x'.repeat(100), now);
    const [own, issued] = [long, await issueClient(long, now)].map(
      (pem) => new X509Certificate(certificatesIn(pem)[0] ?? ''),
    );
    expect(Date.parse(own?.validTo ?? '')).toBeGreaterThan(Date.parse(issued?.validTo ?? ''));
    expect(/CN=(.*)/.exec(own?.subject ?? '')?.[1]?.length).toBeLessThanOrEqual(64);
  });
});
