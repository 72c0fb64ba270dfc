import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { HostSpec } from '../../src/cluster/spec.js';
import { readMark, writeMark } from '../../src/hosts/identity.js';
import { readSecrets } from '../../src/hosts/secrets.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';

const mark = { name: 'demo', id: '6f3b1f0e-5a49-4f55-8f0e-0d6f6a1b2c3d' };
const other = { name: 'other', id: '0a4d8a52-9c1b-4d7e-9d5e-3f0a1b2c3d4e' };
let sshd: TestSshd;
let directory: string;
let pool: SshPool;
let host: HostSpec;

beforeAll(async () => {
  sshd = await startSshd({ address: '127.22.32.1' });
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-identity-'));
  pool = silentPool(path.join(directory, 'known'));
  host = sshd.host({ dir: path.join(directory, 'base') });
});
afterAll(async () => {
  await pool?.close();
  await sshd?.remove();
  await rm(directory, { recursive: true, force: true });
});
beforeEach(() => rm(host.dir, { recursive: true, force: true }));

const file = () => path.join(host.dir, 'etc', 'cluster');
const read = async () => readMark(await pool.get(host));
const write = async (wanted = mark) => writeMark(await pool.get(host), wanted);

it('finds no mark on a host that has no base directory', async () => {
  expect(await read()).toBeUndefined();
});

it('reads what it wrote, and writes it once', async () => {
  expect(await write()).toEqual(mark);
  expect(await read()).toEqual(mark);
  const before = await stat(file());
  expect(await write()).toEqual(mark);
  expect((await stat(file())).mtimeMs).toBe(before.mtimeMs);
  expect(JSON.parse(await readFile(file(), 'utf8'))).toEqual(mark);
});

it('keeps the mark of another cluster, and returns it', async () => {
  await write(other);
  expect(await write()).toEqual(other);
  expect(await read()).toEqual(other);
});

it('gives a host to one of two that mark it at the same time', async () => {
  const both = await Promise.all([write(mark), write(other)]);
  const kept = await read();
  expect(both).toEqual([kept, kept]);
});

it('replaces an empty file, which a crash may leave', async () => {
  await mkdir(path.dirname(file()), { recursive: true });
  await writeFile(file(), '');
  expect(await read()).toBeUndefined();
  expect(await write()).toEqual(mark);
});

it('does not take a file that it cannot understand for none', async () => {
  await mkdir(path.dirname(file()), { recursive: true });
  await writeFile(file(), '{"name":\n');
  await expect(read()).rejects.toMatchObject({ code: 'OBSERVATION_INCOMPLETE' });
  await expect(write()).rejects.toMatchObject({ code: 'OBSERVATION_INCOMPLETE' });
  expect(await readFile(file(), 'utf8')).toBe('{"name":\n');
  await writeFile(file(), '\n{}\n');
  await expect(read()).rejects.toMatchObject({ code: 'COMMAND_FAILED' });
  await rm(file());
  await mkdir(file());
  await expect(read()).rejects.toMatchObject({ code: 'COMMAND_FAILED' });
  await expect(write()).rejects.toMatchObject({ code: 'COMMAND_FAILED' });
});

it('reads no secret of another cluster from a host', async () => {
  await write(other);
  await mkdir(path.join(host.dir, 'etc', 'secrets'));
  await writeFile(path.join(host.dir, 'etc', 'secrets', 'jupyter-token'), 'secret', { mode: 0o600 });
  const names = ['jupyter-token'] as const;
  await expect(readSecrets(pool, { name: mark.name, hosts: [host] }, names)).rejects.toMatchObject({
    code: 'CLUSTER_HOSTS_TAKEN',
  });
  const anew = { ...other, id: mark.id, hosts: [host] };
  await expect(readSecrets(pool, anew, names)).rejects.toMatchObject({ code: 'CLUSTER_HOSTS_TAKEN' });
  expect(await readSecrets(pool, { ...other, hosts: [host] }, names)).toEqual({ 'jupyter-token': 'secret' });
});
