import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { SshTarget } from '../../src/cluster/spec.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { publicKeyLine } from '../../src/ssh/known-hosts.js';
import { presentedKey } from '../../src/ssh/presented-key.js';
import { fingerprintOf, makeKey, startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';

const run = promisify(execFile);
const address = '127.22.4.1';
let directory: string;
let authority: string;
let pool: SshPool;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-host-keys-'));
  authority = path.join(directory, 'ca');
  await makeKey(authority);
  pool = silentPool(path.join(directory, 'known'));
});
afterEach(async () => {
  await pool.close();
  await rm(directory, { recursive: true, force: true });
});

const publicKey = async (file: string) =>
  (await readFile(`${file}.pub`, 'utf8')).split(' ').slice(0, 2).join(' ');

/** An sshd with a host certificate of the authority. */
async function certified({
  kind = 'ed25519',
  names = address,
  options = ['-h'],
  config = [] as string[],
}): Promise<TestSshd> {
  const server = await startSshd({
    address,
    config,
    makeHostKey: async (file) => {
      await run('ssh-keygen', ['-q', '-t', kind, '-N', '', '-f', file]);
      const principals = names === '' ? [] : ['-n', names];
      await run('ssh-keygen', [
        '-q',
        '-s',
        authority,
        '-I',
        'host one',
        ...principals,
        ...options,
        `${file}.pub`,
      ]);
    },
  });
  onTestFinished(() => server.remove());
  return server;
}

/** The host with a known_hosts file of these lines. */
async function knowing(server: TestSshd, lines: string[], target: Partial<SshTarget> = {}) {
  const knownHostsFile = path.join(directory, 'known_hosts');
  await writeFile(knownHostsFile, lines.map((line) => `${line}\n`).join(''));
  return server.host({ ssh: { ...server.host().ssh, knownHostsFile, ...target } });
}

describe('keys of the spec', () => {
  const plain = async () => {
    const server = await startSshd({ address });
    onTestFinished(() => server.remove());
    const key = await publicKey(path.join(server.dir, 'host_key'));
    const host = (...hostKeys: readonly string[]) => server.host({ ssh: { ...server.host().ssh, hostKeys } });
    return { server, key, host };
  };

  it('are accepted, and nothing is pinned', async () => {
    const { server, key, host } = await plain();
    await makeKey(path.join(directory, 'other'));
    const keyed = host(await publicKey(path.join(directory, 'other')), key);
    expect(await (await pool.get(keyed)).run('echo in')).toBe('in\n');
    await expect(readdir(path.join(directory, 'known'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await pool.pinned([keyed, server.host()])).toEqual({});
    await pool.get(server.host());
    expect(await pool.pinned([keyed, server.host()])).toEqual({ [`${address}:2200`]: [key] });
  });

  it('refuse every other key, whatever is pinned, and say what to do', async () => {
    const { server, key, host } = await plain();
    const before = await fingerprintOf(path.join(server.dir, 'host_key.pub'));
    await server.changeHostKey();
    await pool.get(server.host());
    await expect(pool.get(host(key))).rejects.toMatchObject({
      code: 'SSH_HOST_KEY_CHANGED',
      retryable: false,
      message: expect.stringContaining(before) as string,
      remedy: expect.stringContaining('`hostKeys`') as string,
    });
  });

  it('are overridden by a known_hosts file', async () => {
    const { server, key } = await plain();
    await makeKey(path.join(directory, 'other'));
    const hostKeys = [await publicKey(path.join(directory, 'other'))];
    const host = await knowing(server, [`[${address}]:2200 ${key}`], { hostKeys });
    expect(await (await pool.get(host)).run('echo in')).toBe('in\n');
  });

  it('are seen without a login, through a jump host too', async () => {
    const { server, key } = await plain();
    const target = { ...server.host().ssh, user: 'nobody-of-this-name' };
    const options = { knownHostsDir: path.join(directory, 'known'), logger: pino({ level: 'silent' }) };
    const seen = async (jump?: SshTarget) =>
      publicKeyLine(await presentedKey({ host: 'h1', target, ...(jump && { jump }) }, options));
    expect(await seen()).toBe(key);
    await expect(readdir(options.knownHostsDir)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await seen(server.host().ssh)).toBe(key);
    await server.changeHostKey();
    const changed = await publicKey(path.join(server.dir, 'host_key'));
    expect(await seen()).toBe(changed);
    await expect(seen(server.host().ssh)).rejects.toMatchObject({ code: 'SSH_HOST_KEY_CHANGED' });
  });
});

describe('host certificates', () => {
  it.each([
    ['ed25519', 'ssh-ed25519-cert-v01@openssh.com'],
    ['ecdsa', 'ecdsa-sha2-nistp256-cert-v01@openssh.com'],
    ['rsa', 'rsa-sha2-512-cert-v01@openssh.com'],
    ['rsa', 'rsa-sha2-256-cert-v01@openssh.com'],
  ])(
    'are accepted from a known authority, also as all that the host has: %s, %s',
    async (kind, algorithm) => {
      const server = await certified({ kind, config: [`HostKeyAlgorithms ${algorithm}`] });
      const host = await knowing(server, [`@cert-authority * ${await publicKey(authority)}`]);
      expect(await (await pool.get(host)).run('echo in')).toBe('in\n');
    },
  );

  it('are asked for where the host has plain keys as well, and survive new session keys', async () => {
    const server = await certified({ config: ['RekeyLimit 200K'] });
    const ca = await publicKey(authority);
    const host = await knowing(server, [`@cert-authority [127.22.4.*]:2200 ${ca}`]);
    const connection = await pool.get(host);
    expect(await connection.run('head -c 2000000 /dev/zero | tr "\\0" x')).toHaveLength(2_000_000);
    expect(await server.sessions()).toHaveLength(1);
  });

  it('are those of the name without its port, or of the alias, as in OpenSSH', async () => {
    const server = await certified({ names: `${address},web.example` });
    const ca = await publicKey(authority);
    const login = async (lines: string[], target: Partial<SshTarget> = {}) =>
      (await pool.get(await knowing(server, lines, target))).run('echo in');
    expect(await login([`@cert-authority ${address} ${ca}`])).toBe('in\n');
    expect(await login([`@cert-authority *.example ${ca}`], { hostKeyAlias: 'web.example' })).toBe('in\n');
  });

  it.each([
    ['expired', { options: ['-h', '-V', '20200101:20200102'] }, 'expired at 2020'],
    ['of the future', { options: ['-h', '-V', '20990101:20990102'] }, 'is not valid before 20'],
    ['of another host', { names: 'other.example' }, 'is for other.example, not for 127.22.4.1'],
    [
      'with an option that nobody knows',
      { options: ['-h', '-O', 'critical:verify-moon@example.org=1'] },
      'critical options: verify-moon@example.org',
    ],
  ])('are rejected: %s', async (_name, options, why) => {
    const server = await certified(options);
    const host = await knowing(server, [`@cert-authority * ${await publicKey(authority)}`]);
    await expect(pool.get(host)).rejects.toMatchObject({
      code: 'SSH_HOST_CERTIFICATE_INVALID',
      retryable: false,
      message: expect.stringContaining(why) as string,
    });
  });

  it('of an unknown or revoked authority are rejected, and the authority is named', async () => {
    const server = await certified({ config: ['HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com'] });
    const other = path.join(directory, 'other');
    await makeKey(other);
    for (const lines of [[], [`@cert-authority * ${await publicKey(other)}`]]) {
      await expect(pool.get(await knowing(server, lines))).rejects.toMatchObject({
        code: 'SSH_HOST_KEY_UNKNOWN',
        message: expect.stringContaining(await fingerprintOf(authority)) as string,
        remedy: expect.stringContaining(`@cert-authority ${address} ${await publicKey(authority)}`) as string,
      });
    }
    const ca = await publicKey(authority);
    await expect(
      pool.get(await knowing(server, [`@cert-authority * ${ca}`, `@revoked * ${ca}`])),
    ).rejects.toMatchObject({ code: 'SSH_HOST_CERTIFICATE_INVALID' });
    const revoked = `@revoked * ${await publicKey(path.join(server.dir, 'host_key'))}`;
    await expect(pool.get(await knowing(server, [`@cert-authority * ${ca}`, revoked]))).rejects.toMatchObject(
      { code: 'SSH_HOST_KEY_CHANGED' },
    );
  });

  it('count as their key where that is known or pinned', async () => {
    const server = await certified({ config: ['HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com'] });
    const key = await publicKey(path.join(server.dir, 'host_key'));
    const known = await knowing(server, [`[${address}]:2200 ${key}`]);
    expect(await (await pool.get(known)).run('echo in')).toBe('in\n');
    for (const attempt of [1, 2]) {
      const another = silentPool(path.join(directory, 'known'));
      expect(await (await another.get(server.host())).run(`echo ${attempt}`)).toBe(`${attempt}\n`);
      await another.close();
    }
  });

  it('are missed where only an authority is known', async () => {
    const server = await startSshd({ address });
    onTestFinished(() => server.remove());
    const host = await knowing(server, [`@cert-authority * ${await publicKey(authority)}`]);
    await expect(pool.get(host)).rejects.toMatchObject({
      code: 'SSH_HOST_KEY_UNKNOWN',
      message: expect.stringContaining('the host has no certificate') as string,
    });
  });
});
