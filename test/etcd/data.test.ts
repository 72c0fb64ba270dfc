import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readData } from '../../src/etcd/data.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-data-'));
});
afterEach(() => rm(directory, { recursive: true }));

describe('readData', () => {
  const wal = () => path.join(directory, 'member', 'wal');

  it('finds none if no log was ever created', async () => {
    expect(await readData(directory)).toEqual({ kind: 'none' });
    // As etcd creates it, before the rename.
    await mkdir(`${wal()}.tmp`, { recursive: true });
    expect(await readData(directory)).toEqual({ kind: 'none' });
  });

  it('does not treat a damaged or unreadable log as none', async () => {
    await mkdir(wal(), { recursive: true });
    expect(await readData(directory)).toMatchObject({ kind: 'unreadable' });
    await writeFile(path.join(wal(), '0.wal'), '');
    expect(await readData(directory)).toMatchObject({ kind: 'unreadable' });
    await writeFile(path.join(wal(), '0.wal'), Buffer.alloc(4096));
    expect(await readData(directory)).toMatchObject({ kind: 'unreadable' });
    await rm(wal(), { recursive: true });
    await writeFile(wal(), '');
    expect(await readData(directory)).toMatchObject({ kind: 'unreadable' });
  });
});
