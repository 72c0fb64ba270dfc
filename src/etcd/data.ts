import { access, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../errors/error.js';
import type { DataView } from './decide.js';
import { walIdentity } from './identity.js';
import { walPosition, type Position } from './wal.js';

/** The content of a member's data directory. */
export async function readData(dataDir: string): Promise<DataView> {
  const wal = path.join(dataDir, 'member', 'wal');
  let segments: string[];
  try {
    segments = (await readdir(wal)).filter((name) => name.endsWith('.wal')).sort();
  } catch (error) {
    // etcd creates the log under another name and then renames it: without it, etcd never started.
    if (isMissing(error)) return { kind: 'none' };
    return { kind: 'unreadable', why: messageOf(error) };
  }
  const [oldest] = segments;
  // A log always has a segment, so they were lost.
  if (oldest === undefined) return { kind: 'unreadable', why: 'the write-ahead log has no segment' };
  try {
    await using segment = await open(path.join(wal, oldest));
    const { buffer, bytesRead } = await segment.read(Buffer.alloc(4096), 0, 4096, 0);
    const identity = walIdentity(buffer.subarray(0, bytesRead));
    return identity === undefined
      ? { kind: 'unreadable', why: `${oldest} contains no member ID` }
      : { kind: 'member', ...identity };
  } catch (error) {
    return { kind: 'unreadable', why: messageOf(error) };
  }
}

/** A segment is some 64 MB. The last one may just have been begun. */
const lastSegments = 2;

/** How much the member with that data knows. Undefined if its log has no entry; rejects if it cannot be read. */
export async function readPosition(dataDir: string): Promise<Position | undefined> {
  const wal = path.join(dataDir, 'member', 'wal');
  const names = (await readdir(wal)).filter((name) => name.endsWith('.wal')).sort();
  return walPosition(
    await Promise.all(names.slice(-lastSegments).map((name) => readFile(path.join(wal, name)))),
  );
}

/** Moves the data to `<dataDir>.dropped`, replacing what was there. */
export async function dropData(dataDir: string): Promise<void> {
  const aside = `${dataDir}.dropped`;
  await rm(aside, { recursive: true, force: true });
  await moveData(dataDir, aside);
}

/** Moves the data of an earlier epoch to `<dataDir>.epoch-N`, or a name after it: it replaces nothing. */
export async function keepData(dataDir: string, epoch: number): Promise<void> {
  const name = `${dataDir}.epoch-${epoch}`;
  let aside = name;
  for (let number = 2; await exists(aside); number += 1) aside = `${name}.${number}`;
  await moveData(dataDir, aside);
}

async function moveData(dataDir: string, aside: string): Promise<void> {
  await rename(dataDir, aside).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    (error: unknown) => {
      if (isMissing(error)) return false;
      throw error;
    },
  );
}

/** Removes what is left by an etcd that was killed before it had a log. */
export async function clearData(dataDir: string): Promise<void> {
  await rm(path.join(dataDir, 'member'), { recursive: true, force: true });
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
