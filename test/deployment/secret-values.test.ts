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
  'zookeeper-digest',
  'mesos-credential',
] as const;
const all = Object.fromEntries(primary.map((name) => [name, makeSecret(name, spec)]));
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
    expect(lackingSecrets(held('h2', {}), decision.secrets)).toHaveLength(primary.length + 2);
    expect(lackingSecrets(held('h1', decision.secrets), decision.secrets)).toEqual([]);
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
