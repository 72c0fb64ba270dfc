import { describe, expect, it } from 'vitest';
import { decideSecrets, lackingSecrets, makeSecret } from '../../src/deployment/secret-values.js';
import type { HostSecrets } from '../../src/hosts/secrets.js';
import type { SecretName } from '../../src/cluster/secrets.js';
import { makeSpec } from '../support/spec.js';

const spec = makeSpec();
const primary = [
  'node-ssh-key',
  'node-host-key',
  'jupyter-token',
  'jupyter-cookie-secret',
  'proxy-api-token',
  'node-api-token',
  'node-kernels-token',
  'zookeeper-digest',
  'mesos-credential',
] as const;
const authority = await makeSecret('etcd-authority', spec);
const httpsAuthority = await makeSecret('https-authority', spec);
const issuing = { 'etcd-authority': authority, 'https-authority': httpsAuthority };
const all: Partial<Record<SecretName, string>> = {
  ...Object.fromEntries(
    await Promise.all(primary.map(async (name) => [name, await makeSecret(name, spec)] as const)),
  ),
  'etcd-authority': authority,
  'etcd-member': await makeSecret('etcd-member', spec, issuing),
  'etcd-client': await makeSecret('etcd-client', spec, issuing),
  'https-authority': httpsAuthority,
  'https-server': await makeSecret('https-server', spec, issuing),
};
const held = (host: string, values: Partial<Record<SecretName, string>>): HostSecrets => ({
  host,
  values,
  exposed: [],
  mark: undefined,
});

describe('decideSecrets', () => {
  it('generates what no host holds, and nothing else', () => {
    const rest = Object.fromEntries(Object.entries(all).filter(([name]) => name !== 'jupyter-token'));
    expect(decideSecrets([held('h1', rest), held('h2', {})], spec)).toEqual({
      kind: 'make',
      names: ['jupyter-token'],
      issuing,
    });
  });

  it('collects what single hosts hold, and derives the public keys', () => {
    const { 'jupyter-token': token, ...rest } = all;
    const decision = decideSecrets(
      [held('h1', rest), held('h2', token === undefined ? {} : { 'jupyter-token': token })],
      spec,
    );
    if (decision.kind !== 'complete') throw new Error('it is not complete');
    expect(decision.secrets).toMatchObject(all);
    expect(decision.secrets['node-host-key.pub']).toMatch(/^ssh-ed25519 \S+ perijove\n$/);
    expect(lackingSecrets(held('h2', {}), decision.secrets)).toHaveLength(primary.length + 9);
    expect(lackingSecrets(held('h1', decision.secrets), decision.secrets)).toEqual([]);
  });

  it('makes the authority first, and then what it issues', () => {
    const without = Object.fromEntries(Object.entries(all).filter(([name]) => !name.startsWith('etcd-')));
    expect(decideSecrets([held('h1', without)], spec)).toEqual({
      kind: 'make',
      names: ['etcd-authority'],
      issuing: { 'https-authority': httpsAuthority },
    });
    expect(decideSecrets([held('h1', { ...without, 'etcd-authority': authority })], spec)).toEqual({
      kind: 'make',
      names: ['etcd-member', 'etcd-client'],
      issuing,
    });
  });

  it('replaces certificates of another authority, for other addresses, or that end within a year', async () => {
    const other = await makeSecret('etcd-authority', spec);
    const makes = (values: typeof all, wanted = spec, now = new Date()) => {
      const decision = decideSecrets([held('h1', values)], wanted, now);
      return decision.kind === 'make' ? decision.names : [];
    };
    expect(makes(all)).toEqual([]);
    const foreign = await makeSecret('etcd-member', spec, { 'etcd-authority': other });
    expect(makes({ ...all, 'etcd-member': foreign })).toEqual(['etcd-member']);
    const grown = makeSpec({ nodes: { count: spec.nodes.count + 2 } });
    expect(makes(all, grown)).toEqual(['etcd-member']);
    expect(makes({ ...all, 'etcd-client': 'nonsense' })).toEqual(['etcd-client']);
    const later = new Date(Date.now() + 9.1 * 365 * 86_400_000);
    expect(makes(all, spec, later)).toEqual(['etcd-member', 'etcd-client', 'https-server']);
    const inTwoYears = new Date(Date.now() + 2 * 365 * 86_400_000);
    expect(makes(all, spec, inTwoYears)).toEqual(['https-server']);
    const [first, ...rest] = spec.hosts;
    if (first === undefined) expect.unreachable('a host');
    const renamed = makeSpec({ hosts: [{ ...first, hostname: 'jupyter.test' }, ...rest] });
    expect(makes(all, renamed)).toEqual(['https-server']);
    const ofEtcd = { ...issuing, 'https-authority': authority };
    expect(makes({ ...all, 'https-server': await makeSecret('https-server', spec, ofEtcd) })).toEqual([
      'https-server',
    ]);
  });

  it('uses certificates that end with their authority to the end: new ones would not last longer', async () => {
    const day = 86_400_000;
    const old = await makeSecret('etcd-authority', spec, {}, new Date(Date.now() - 7_290 * day));
    const issued = {
      'etcd-member': await makeSecret('etcd-member', spec, { 'etcd-authority': old }),
      'etcd-client': await makeSecret('etcd-client', spec, { 'etcd-authority': old }),
    };
    for (const now of [new Date(), new Date(Date.now() + 20 * day)]) {
      const decision = decideSecrets([held('h1', { ...all, 'etcd-authority': old, ...issued })], spec, now);
      expect(decision.kind).toBe('complete');
    }
  });

  it('takes the newest of the certificates that hosts hold', async () => {
    const newer = await makeSecret('etcd-client', spec, issuing, new Date(Date.now() + 3_600_000));
    const decision = decideSecrets([held('h1', all), held('h2', { ...all, 'etcd-client': newer })], spec);
    expect(decision).toMatchObject({ kind: 'complete', secrets: { 'etcd-client': newer } });
  });

  it('rejects a damaged authority: another one would shut out all members', () => {
    const key = (pem: string) => pem.slice(0, pem.indexOf('-----BEGIN CERTIFICATE'));
    for (const value of ['nonsense', key(authority), all['etcd-client'] ?? '']) {
      expect(() => decideSecrets([held('h1', { ...all, 'etcd-authority': value })], spec)).toThrow(
        expect.objectContaining({ code: 'SECRETS_DAMAGED' }) as Error,
      );
    }
  });

  it('rejects two values of one secret, naming the hosts and not the values', () => {
    const other = { ...all, 'jupyter-token': 'another-token' };
    expect(() => decideSecrets([held('h1', all), held('h2', other)], spec)).toThrow(
      expect.objectContaining({
        code: 'SECRETS_DIFFER',
        message: 'jupyter-token differs between h1 and h2',
      }) as Error,
    );
  });

  it('rejects an invalid private key', () => {
    expect(() => decideSecrets([held('h1', { ...all, 'node-ssh-key': 'nonsense' })], spec)).toThrow(
      expect.objectContaining({ code: 'SECRETS_DAMAGED' }) as Error,
    );
  });

  it("gives a credential the spec's principal, whatever its format, and keeps its secret", () => {
    const named = makeSpec({ mesos: { principal: 'alice' } });
    const wanted = '{"principal":"alice","secret":"s3cret"}';
    const holders = [
      held('h1', { ...all, 'mesos-credential': 'perijove s3cret\n' }),
      held('h2', { ...all, 'mesos-credential': wanted }),
    ];
    const decision = decideSecrets(holders, named);
    if (decision.kind !== 'complete') throw new Error('it is not complete');
    expect(decision.secrets['mesos-credential']).toBe(wanted);
    expect(holders.map((holder) => lackingSecrets(holder, decision.secrets))).toEqual([
      expect.arrayContaining(['mesos-credential']),
      expect.not.arrayContaining(['mesos-credential']),
    ]);
  });

  it('rejects an invalid credential, without repeating it', () => {
    expect(() => decideSecrets([held('h1', { ...all, 'mesos-credential': 'topsecret' })], spec)).toThrow(
      expect.objectContaining({
        code: 'SECRETS_DAMAGED',
        message: expect.not.stringContaining('topsecret') as string,
      }) as Error,
    );
  });
});
