import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readSecrets } from '../../src/hosts/secrets.js';
import type { HostSpec } from '../../src/cluster/spec.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';

const names = ['jupyter-token', 'node-api-token'] as const;
let sshd: TestSshd;
let directory: string;
let pool: SshPool;
let hosts: readonly [HostSpec, HostSpec];

beforeAll(async () => {
  sshd = await startSshd({ address: '127.22.5.1' });
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-secrets-'));
  pool = silentPool(path.join(directory, 'known'));
  hosts = [
    sshd.host({ dir: path.join(directory, 'h1') }),
    sshd.host({ name: 'h2', dir: path.join(directory, 'h2') }),
  ];
});
afterAll(async () => {
  await pool.close();
  await sshd.remove();
  await rm(directory, { recursive: true, force: true });
});
beforeEach(async () => {
  for (const { dir } of hosts) {
    await rm(dir, { recursive: true, force: true });
    await mkdir(path.join(dir, 'etc', 'secrets'), { recursive: true });
  }
});

const put = (host: HostSpec, name: string, value: string) =>
  writeFile(path.join(host.dir, 'etc', 'secrets', name), value, { mode: 0o600 });

describe('readSecrets', () => {
  it('reads all secrets from one host that has them all, without what an editor added', async () => {
    await put(hosts[0], 'jupyter-token', 'of-h1');
    await put(hosts[0], 'node-api-token', '\n');
    await put(hosts[1], 'jupyter-token', 'of-h2\n');
    await put(hosts[1], 'node-api-token', 'other');
    expect(await readSecrets(pool, { name: 'test', hosts }, names)).toEqual({
      'jupyter-token': 'of-h2',
      'node-api-token': 'other',
    });
  });

  it('reports that there are none once every host has reported so', async () => {
    await put(hosts[0], 'jupyter-token', 'of-h1');
    await expect(readSecrets(pool, { name: 'test', hosts }, names)).rejects.toMatchObject({
      code: 'SECRETS_ABSENT',
      message: 'h1 lacks node-api-token',
      place: { host: 'h1' },
    });
  });

  it('reports the error of an unreachable host, which may have them', async () => {
    const away = sshd.host({ name: 'h3', ssh: { ...sshd.host().ssh, port: 2299 } });
    await expect(readSecrets(pool, { name: 'test', hosts: [...hosts, away] }, names)).rejects.toMatchObject({
      code: 'SSH_REFUSED',
      place: { host: 'h3' },
    });
  });
});
