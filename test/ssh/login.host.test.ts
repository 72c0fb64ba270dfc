import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { networkInterfaces, tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { SshTarget } from '../../src/cluster/spec.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { makeKey, startSshd, type TestSshd } from '../support/sshd.js';
import { makeHost } from '../support/spec.js';
import { silentPool } from '../support/ssh-pool.js';

let directory: string;
let pool: SshPool;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-login-'));
  pool = silentPool(path.join(directory, 'known'));
});
afterEach(async () => {
  await pool.close();
  await rm(directory, { recursive: true, force: true });
});

async function server(address: string, ...config: string[]): Promise<TestSshd> {
  const started = await startSshd({ address, config });
  onTestFinished(() => started.remove());
  return started;
}

const login = (sshd: TestSshd, target: Partial<SshTarget> = {}) =>
  pool.get(sshd.host({ ssh: { ...sshd.host().ssh, ...target } }));

/** A host at a TCP server that is not SSH. */
async function strange(said: string) {
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    if (said !== '') socket.end(said);
  }).listen(0, '127.22.6.9');
  await once(listener, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    listener.close();
  });
  const keyFile = path.join(directory, 'key');
  await makeKey(keyFile);
  const { address, port } = listener.address() as AddressInfo;
  return makeHost('h1', {
    ssh: { address, port, user: 'root', keyFile, agent: false, loginTimeoutMs: 1_000 },
  });
}

describe('the limit of a login', () => {
  it('is that of the spec, and is named when the host is too slow', async () => {
    const keyFile = path.join(directory, 'slow');
    await makeKey(keyFile);
    const slow = await server(
      '127.22.6.1',
      `AuthorizedKeysCommand /usr/bin/env sh -c "sleep 3; cat ${keyFile}.pub"`,
      'AuthorizedKeysCommandUser root',
    );
    await expect(login(slow, { keyFile, loginTimeoutMs: 1_000 })).rejects.toMatchObject({
      code: 'SSH_TIMEOUT',
      message: expect.stringMatching(
        /took longer than 1 s \(`ssh.loginTimeout`\); it was in the authentication/,
      ) as string,
      remedy: expect.not.stringContaining('firewall') as string,
    });
    expect(await (await login(slow, { keyFile })).run('echo in')).toBe('in\n');
  });

  it('applies to a server that says nothing', async () => {
    await expect(pool.get(await strange(''))).rejects.toMatchObject({
      code: 'SSH_TIMEOUT',
      message: expect.stringContaining('sent no SSH greeting within 1 s') as string,
    });
  });
});

describe('a server', () => {
  it('that is not SSH is named with what it said, and not tried again', async () => {
    await expect(pool.get(await strange('HTTP/1.1 400 Bad Request\r\n\r\n'))).rejects.toMatchObject({
      code: 'SSH_INCOMPATIBLE',
      retryable: false,
      message: expect.stringContaining('"HTTP/1.1 400 Bad Request"') as string,
    });
  });

  it('that is busy is tried again, with its words', async () => {
    await expect(pool.get(await strange('Exceeded MaxStartups\r\n'))).rejects.toMatchObject({
      code: 'SSH_LOST',
      message: expect.stringContaining('Exceeded MaxStartups') as string,
    });
  });

  it('that lets nobody in is shown with its banner and with what it accepts', async () => {
    const banner = path.join(directory, 'banner');
    await writeFile(banner, 'Closed for repair\nuntil Monday\n');
    const { username } = userInfo();
    const closed = await server('127.22.6.2', `Banner ${banner}`, `DenyUsers ${username}`);
    await expect(login(closed)).rejects.toMatchObject({
      code: 'SSH_AUTH_FAILED',
      message: expect.stringContaining('"Closed for repair until Monday"') as string,
    });
    const other = await server('127.22.6.3', 'PubkeyAuthentication no', 'HostbasedAuthentication yes');
    await expect(login(other)).rejects.toMatchObject({
      code: 'SSH_AUTH_FAILED',
      message: expect.stringContaining('it accepts no keys, only hostbased') as string,
    });
    const both = await server(
      '127.22.6.4',
      'HostbasedAuthentication yes',
      'AuthenticationMethods publickey,hostbased',
    );
    await expect(login(both)).rejects.toMatchObject({
      code: 'SSH_AUTH_FAILED',
      message: expect.stringContaining('it accepted a key, and requires hostbased too') as string,
    });
  });
});

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((each) => each?.address === '::1');

it.runIf(hasIpv6)('reaches IPv6 addresses, directly and through a jump host', async () => {
  const six = await server('::1');
  expect(await (await login(six)).run('echo in')).toBe('in\n');
  const gate = await server('127.22.6.5');
  const behind = await pool.get(six.host({ jump: gate.host().ssh }));
  expect(await behind.run('echo "$SSH_CONNECTION"')).toMatch(/^::1 \d+ ::1 2200\n$/);
  await six.stop();
  await expect(silentPool(directory).get(six.host())).rejects.toMatchObject({
    code: 'SSH_REFUSED',
    message: expect.stringContaining('@[::1]:2200') as string,
  });
});
