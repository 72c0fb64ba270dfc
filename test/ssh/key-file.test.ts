import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseKeyFile, parsePublicLine, signatureBy } from '../../src/ssh/key-file.js';
import { verifies } from '../../src/ssh/public-key.js';
import { uint32, wireString } from '../../src/ssh/wire.js';

const pem = (...options: [string, object?]) =>
  (generateKeyPairSync as (kind: string, options?: object) => { privateKey: { export(o: object): string } })(
    ...options,
  ).privateKey.export({ type: 'pkcs8', format: 'pem' });

/** A private key file of OpenSSH with this public key, and a private part that nobody can read. */
const container = (blob: Buffer) => {
  const fields = [wireString('none'), wireString('none'), wireString(''), uint32(1), wireString(blob)];
  const bytes = Buffer.concat([Buffer.from('openssh-key-v1\0'), ...fields, wireString(randomBytes(40))]);
  return Buffer.from(
    `-----BEGIN OPENSSH PRIVATE KEY-----\n${bytes.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`,
  );
};
const publicBlob = (type: string) =>
  Buffer.concat([wireString(type), wireString(randomBytes(32)), wireString('ssh:')]);

describe('parseKeyFile', () => {
  it.each<[string, [string, object?]]>([
    ['RSA', ['rsa', { modulusLength: 2048 }]],
    ['P-256', ['ec', { namedCurve: 'P-256' }]],
    ['P-384', ['ec', { namedCurve: 'P-384' }]],
    ['P-521', ['ec', { namedCurve: 'P-521' }]],
    ['Ed25519', ['ed25519']],
  ])('reads PKCS#8, and its signatures are those of its public key: %s', (_name, options) => {
    const found = parseKeyFile(Buffer.from(pem(...options)), undefined);
    if (found.kind !== 'private') expect.unreachable(found.kind);
    const data = randomBytes(100);
    for (const hash of ['sha256', 'sha512']) {
      const signature = signatureBy(found.key, found.blob, data, hash);
      expect(verifies(found.blob, data, signature)).toBe(true);
      expect(verifies(found.blob, randomBytes(100), signature)).toBe(false);
    }
  });

  it('does not accept signatures with SHA-1', () => {
    const found = parseKeyFile(Buffer.from(pem('rsa', { modulusLength: 2048 })), undefined);
    if (found.kind !== 'private') expect.unreachable(found.kind);
    const data = randomBytes(10);
    expect(verifies(found.blob, data, signatureBy(found.key, found.blob, data, 'sha1'))).toBe(false);
  });

  it('takes the key of a security token for one that only an agent can use', () => {
    const blob = publicBlob('sk-ssh-ed25519@openssh.com');
    expect(parseKeyFile(container(blob), undefined)).toEqual({ kind: 'public', blob });
  });

  it.each([
    ['a damaged key of OpenSSH', container(publicBlob('ssh-ed25519'))],
    ['damaged PKCS#8', Buffer.from('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n')],
    ['a kind that SSH does not have', Buffer.from(pem('x25519'))],
    ['another curve', Buffer.from(pem('ec', { namedCurve: 'secp256k1' }))],
    ['text', Buffer.from('hello\n')],
    ['nothing', Buffer.alloc(0)],
  ])('refuses %s', (_name, bytes) => {
    expect(parseKeyFile(bytes, undefined).kind).toBe('unusable');
  });
});

describe('parsePublicLine', () => {
  it('reads only keys', () => {
    const blob = publicBlob('ssh-ed25519');
    expect(parsePublicLine(`ssh-ed25519 ${blob.toString('base64')} ann@home\n`)).toEqual(blob);
    for (const text of ['', 'ssh-ed25519', 'ssh-ed25519 AAAA', `ssh-rsa ${blob.toString('base64')}`, 'a b'])
      expect(parsePublicLine(text)).toBeUndefined();
  });
});
