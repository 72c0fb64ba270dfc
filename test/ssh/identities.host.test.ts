import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SshTarget } from '../../src/cluster/spec.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { eventually } from '../support/eventually.js';
import { makeKey, startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';

const run = promisify(execFile);
let sshd: TestSshd;
let authority: string;
let directory: string;
let pool: SshPool;

beforeAll(async () => {
  const place = await mkdtemp(path.join(tmpdir(), 'perijove-authority-'));
  authority = path.join(place, 'ca');
  await makeKey(authority);
  sshd = await startSshd({ address: '127.22.3.1', config: [`TrustedUserCAKeys ${authority}.pub`] });
});
afterAll(async () => {
  await sshd.remove();
  await rm(path.dirname(authority), { recursive: true, force: true });
});
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-identities-'));
  pool = silentPool(path.join(directory, 'known'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await pool.close();
  await rm(directory, { recursive: true, force: true });
});

const file = (name: string) => path.join(directory, name);
const as = (target: Partial<SshTarget>) => {
  const { keyFile, ...others } = sshd.host().ssh;
  void keyFile;
  return sshd.host({ ssh: { ...others, ...target } });
};
const logsIn = async (target: Partial<SshTarget>) =>
  expect(await (await pool.get(as(target))).run('echo in')).toBe('in\n');
const keygen = (...options: string[]) => run('ssh-keygen', ['-q', ...options]);
/** Lets the host accept a public key. */
const authorize = async (key: string) => {
  await appendFile(`${sshd.keyFile}.pub`, await readFile(`${key}.pub`));
};
const certify = (key: string, ...options: string[]) =>
  keygen('-s', authority, '-I', 'ann', '-n', 'root', ...options, `${key}.pub`);

describe('key files', () => {
  it.each([
    ['RSA', ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048']],
    ['ECDSA', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384']],
    ['Ed25519', ['-algorithm', 'ed25519']],
  ])('may be PKCS#8, as OpenSSL writes it: %s', async (_kind, options) => {
    const keyFile = file('key.pem');
    await run('openssl', ['genpkey', ...options, '-out', keyFile]);
    expect(await readFile(keyFile, 'utf8')).toContain('BEGIN PRIVATE KEY');
    // ssh-keygen reads no Ed25519 key of OpenSSL: what Perijove offered is compared with a key that it can derive.
    await run('openssl', ['pkey', '-in', keyFile, '-pubout', '-out', file('public.pem')]);
    const { sshBlob } = await import('../../src/ssh/public-key.js');
    const { createPublicKey } = await import('node:crypto');
    const blob = sshBlob(createPublicKey(await readFile(file('public.pem'))));
    const type = blob?.subarray(4, 4 + blob.readUInt32BE(0)).toString() ?? '';
    await appendFile(`${sshd.keyFile}.pub`, `${type} ${blob?.toString('base64') ?? ''}\n`);
    await logsIn({ keyFile });
  });

  it.each(['rsa', 'ecdsa', 'ed25519'])('may be of OpenSSH: %s', async (kind) => {
    const keyFile = file('key');
    await keygen('-t', kind, '-N', '', '-f', keyFile);
    await authorize(keyFile);
    await logsIn({ keyFile });
  });

  it('may be encrypted PKCS#8, with the passphrase of the environment', async () => {
    const keyFile = file('key.pem');
    await keygen('-t', 'rsa', '-b', '2048', '-m', 'PKCS8', '-N', 'open sesame', '-f', keyFile);
    expect(await readFile(keyFile, 'utf8')).toContain('BEGIN ENCRYPTED PRIVATE KEY');
    await authorize(keyFile);
    await expect(pool.get(as({ keyFile }))).rejects.toMatchObject({ code: 'SSH_KEY_ENCRYPTED' });
    vi.stubEnv('PERIJOVE_SSH_PASSPHRASE', 'wrong');
    await expect(pool.get(as({ keyFile }))).rejects.toMatchObject({
      code: 'SSH_KEY_ENCRYPTED',
      message: expect.stringContaining('is not the passphrase') as string,
    });
    vi.stubEnv('PERIJOVE_SSH_PASSPHRASE', 'open sesame');
    await logsIn({ keyFile });
  });

  it('cannot be of a kind that SSH does not have', async () => {
    const keyFile = file('key.pem');
    await run('openssl', ['genpkey', '-algorithm', 'x25519', '-out', keyFile]);
    await expect(pool.get(as({ keyFile }))).rejects.toMatchObject({
      code: 'SSH_KEY_UNREADABLE',
      message: expect.stringContaining('x25519') as string,
    });
  });
});

describe('certificates', () => {
  it.each(['ed25519', 'ecdsa', 'rsa'])('are found beside the key: %s', async (kind) => {
    const keyFile = file('key');
    await keygen('-t', kind, '-N', '', '-f', keyFile);
    await expect(pool.get(as({ keyFile }))).rejects.toMatchObject({ code: 'SSH_AUTH_FAILED' });
    await certify(keyFile);
    await logsIn({ keyFile });
  });

  it('work with PKCS#8 keys', async () => {
    const keyFile = file('key');
    await keygen('-t', 'ecdsa', '-m', 'PKCS8', '-N', '', '-f', keyFile);
    await certify(keyFile);
    await logsIn({ keyFile });
  });

  it('are named with what is wrong with them if the host rejects them', async () => {
    const keyFile = file('key');
    await makeKey(keyFile);
    await certify(keyFile, '-V', '20200101:20200102');
    await expect(pool.get(as({ keyFile }))).rejects.toMatchObject({
      code: 'SSH_AUTH_FAILED',
      message: expect.stringMatching(
        /certificate \S+key-cert\.pub.*key-cert\.pub expired at 2020-01-0/,
      ) as string,
    });
    await makeKey(file('other'));
    await certify(file('other'));
    await copyFile(file('other-cert.pub'), file('key-cert.pub'));
    await expect(pool.get(as({ keyFile }))).rejects.toMatchObject({
      message: expect.stringContaining('key-cert.pub is about another key') as string,
    });
  });
});

describe('the agent', () => {
  let agent: ChildProcess;
  const add = (...names: string[]) => run('ssh-add', ['-q', ...names]);

  beforeEach(async () => {
    const socket = file('agent.sock');
    agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    vi.stubEnv('SSH_AUTH_SOCK', socket);
    await eventually(() =>
      run('ssh-add', ['-l']).then(
        () => true,
        ({ code }: { code: number }) => code === 1,
      ),
    );
  });
  afterEach(async () => {
    agent.kill();
    await once(agent, 'exit');
  });

  it.each(['ed25519', 'ecdsa', 'rsa'])('may hold a certificate: %s', async (kind) => {
    await keygen('-t', kind, '-N', '', '-f', file('key'));
    await certify(file('key'));
    await add(file('key'));
    await logsIn({ agent: true });
  });

  it('may sign with a key whose certificate is in a file', async () => {
    await keygen('-t', 'ed25519', '-N', 'secret', '-f', file('key'));
    await copyFile(file('key'), file('plain'));
    await keygen('-p', '-P', 'secret', '-N', '', '-f', file('plain'));
    await add(file('plain'));
    await certify(file('key'));
    await logsIn({ keyFile: file('key'), agent: true });
  });

  it('with more keys than the host accepts tries needs a key file, whose key is offered first', async () => {
    const names = Array.from({ length: 10 }, (_, index) => file(`key${index}`));
    for (const name of names) await makeKey(name);
    await add(...names);
    const last = names[9] ?? '';
    await authorize(last);
    await expect(pool.get(as({ agent: true }))).rejects.toMatchObject({
      code: 'SSH_AUTH_FAILED',
      message: expect.stringContaining('Too many authentication failures') as string,
      remedy: expect.stringContaining('`key: FILE`') as string,
    });
    await logsIn({ agent: true, keyFile: `${last}.pub` });
    await logsIn({ agent: true, keyFile: last });
    await rm(last);
    await logsIn({ agent: true, identityFiles: [file('absent'), last], identitiesOnly: true });
    await expect(
      pool.get(as({ agent: true, identityFiles: [names[0] ?? ''], identitiesOnly: true })),
    ).rejects.toMatchObject({ code: 'SSH_AUTH_FAILED', message: expect.stringContaining('key0') as string });
  });

  it('that does not sign is named', async () => {
    await writeFile(file('askpass'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    agent.kill();
    await once(agent, 'exit');
    const socket = file('agent2.sock');
    agent = spawn('ssh-agent', ['-D', '-a', socket], {
      stdio: 'ignore',
      env: { ...process.env, SSH_ASKPASS: file('askpass'), SSH_ASKPASS_REQUIRE: 'force', DISPLAY: ':0' },
    });
    vi.stubEnv('SSH_AUTH_SOCK', socket);
    await makeKey(file('key'));
    await authorize(file('key'));
    await eventually(() =>
      add('-c', file('key')).then(
        () => true,
        () => false,
      ),
    );
    await expect(pool.get(as({ agent: true }))).rejects.toMatchObject({
      code: 'SSH_NO_AGENT',
      message: expect.stringContaining('did not sign with') as string,
    });
  });
});
