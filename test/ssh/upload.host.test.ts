import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { HostConnection, SshPool } from '../../src/ssh/connection.js';
import { eventually } from '../support/eventually.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';

const run = promisify(execFile);
const root = userInfo().uid === 0;
let sshd: TestSshd;
let directory: string;
let pool: SshPool;
let connection: HostConnection;

beforeAll(async () => {
  sshd = await startSshd({ address: '127.22.1.10' });
});
afterAll(() => sshd.remove());
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-upload-'));
  await mkdir(path.join(directory, 'to'));
  pool = silentPool(path.join(directory, 'known'));
  connection = await pool.get(sshd.host());
});
afterEach(async () => {
  await pool.close();
  await rm(directory, { recursive: true, force: true });
});

describe('upload', () => {
  const to = (name: string) => path.join(directory, 'to', name);

  it('writes a text and a file, with their modes and no temporary files', async () => {
    const content = randomBytes(3_000_000);
    await writeFile(path.join(directory, 'source'), content);
    await connection.upload(Buffer.from('secret\n'), to("it's a text"), { mode: 0o600 });
    await connection.upload({ file: path.join(directory, 'source') }, to('program'), { mode: 0o755 });
    expect(await readFile(to("it's a text"), 'utf8')).toBe('secret\n');
    expect((await readFile(to('program'))).equals(content)).toBe(true);
    expect((await stat(to("it's a text"))).mode & 0o7777).toBe(0o600);
    expect((await stat(to('program'))).mode & 0o7777).toBe(0o755);
    expect((await readdir(path.join(directory, 'to'))).toSorted()).toEqual(["it's a text", 'program']);
  });

  it('replaces a file by renaming: an open descriptor keeps the old one', async () => {
    await connection.upload(Buffer.from('old'), to('file'), { mode: 0o644 });
    const before = await stat(to('file'));
    await connection.upload(Buffer.from(''), to('file'), { mode: 0o640 });
    const after = await stat(to('file'));
    expect([after.size, after.mode & 0o7777]).toEqual([0, 0o640]);
    expect(after.ino).not.toBe(before.ino);
  });

  it('needs no SFTP, neither there nor back', async () => {
    const plain = await startSshd({ address: '127.22.1.14', sftp: false });
    onTestFinished(() => plain.remove());
    const content = randomBytes(3_000_000);
    const source = path.join(directory, 'source');
    await writeFile(source, content);
    const without = await pool.get(plain.host());
    await without.upload({ file: source }, to('program'), { mode: 0o755 });
    expect((await readFile(to('program'))).equals(content)).toBe(true);
    await without.download(to('program'), path.join(directory, 'back'));
    expect((await readFile(path.join(directory, 'back'))).equals(content)).toBe(true);
    await expect(without.download(to('nothing'), path.join(directory, 'none'))).rejects.toMatchObject({
      code: 'COMMAND_FAILED',
      message: expect.stringContaining('nothing') as string,
    });
  });

  it('writes many files at once', async () => {
    const names = Array.from({ length: 30 }, (_, index) => `file${index}`);
    await Promise.all(names.map((name) => connection.upload(Buffer.from(name), to(name), { mode: 0o644 })));
    expect(await Promise.all(names.map((name) => readFile(to(name), 'utf8')))).toEqual(names);
    expect(await sshd.sessions()).toHaveLength(1);
  });

  it('keeps the old file when the connection is lost, and a later upload removes the remains', async () => {
    const source = path.join(directory, 'large');
    await writeFile(source, randomBytes(64 * 1024 * 1024));
    await writeFile(to('program'), 'old');
    const uploading = connection.upload({ file: source }, to('program'), { mode: 0o755 });
    const outcome = expect(uploading).rejects.toMatchObject({ code: 'SSH_LOST' });
    const parts = async () =>
      (await readdir(path.join(directory, 'to'))).filter((name) => name !== 'program');
    await eventually(async () => {
      const [part] = await parts();
      return part !== undefined && (await stat(to(part))).size > 1024 * 1024;
    });
    await sshd.cut();
    await outcome;
    expect(await readFile(to('program'), 'utf8')).toBe('old');

    const hourAgo = Date.now() / 1000 - 3600;
    for (const part of await parts()) await utimes(to(part), hourAgo, hourAgo);
    await connection.upload(Buffer.from('new'), to('program'), { mode: 0o755 });
    expect(await readFile(to('program'), 'utf8')).toBe('new');
    expect(await parts()).toEqual([]);
  });

  it('stops when it is aborted, and removes the partial file', async () => {
    const source = path.join(directory, 'large');
    await writeFile(source, randomBytes(64 * 1024 * 1024));
    const aborter = new AbortController();
    const uploading = connection.upload({ file: source }, to('program'), {
      mode: 0o755,
      signal: aborter.signal,
    });
    const outcome = expect(uploading).rejects.toThrow('enough');
    await eventually(async () => (await readdir(path.join(directory, 'to'))).length > 0);
    aborter.abort(new Error('enough'));
    await outcome;
    await eventually(async () => (await readdir(path.join(directory, 'to'))).length === 0);
  });

  it('reports a missing directory', async () => {
    await expect(
      connection.upload(Buffer.from('x'), to('no/such/file'), { mode: 0o644 }),
    ).rejects.toMatchObject({
      code: 'DIR_NOT_WRITABLE',
      place: { host: 'h1', subject: to('no/such') },
    });
  });

  it('reports an unreadable local file', async () => {
    await expect(
      connection.upload({ file: path.join(directory, 'nothing') }, to('x'), { mode: 0o644 }),
    ).rejects.toThrow('ENOENT');
  });

  it.runIf(root)('reports a full disk, and leaves nothing', async () => {
    const disk = path.join(directory, 'disk');
    await mkdir(disk);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', disk]);
    try {
      const upload = connection.upload(randomBytes(3_000_000), path.join(disk, 'file'), { mode: 0o644 });
      await expect(upload).rejects.toMatchObject({ code: 'DISK_FULL', place: { host: 'h1', subject: disk } });
      expect(await readdir(disk)).toEqual([]);
      await expect(connection.run(`head -c 3000000 /dev/zero > ${disk}/file`)).rejects.toMatchObject({
        code: 'DISK_FULL',
      });
    } finally {
      await run('umount', [disk]);
    }
  });

  it.runIf(root)('reports a read-only file system', async () => {
    const disk = path.join(directory, 'disk');
    await mkdir(disk);
    await run('mount', ['-t', 'tmpfs', '-o', 'ro', 'none', disk]);
    try {
      const upload = connection.upload(Buffer.from('x'), path.join(disk, 'file'), { mode: 0o644 });
      await expect(upload).rejects.toMatchObject({ code: 'DIR_NOT_WRITABLE' });
    } finally {
      await run('umount', [disk]);
    }
  });
});
