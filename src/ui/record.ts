/** Where a running status page is noted, so that `perijove open status` finds it. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { isMissing, replaceFile } from '../net/files.js';

const recordSchema = z.object({
  version: z.literal(1),
  /** Without a slash at its end. */
  origin: z.url(),
  token: z.string().min(1),
  pid: z.int().positive(),
});
/** Readable by its owner alone. */
export type PageRecord = Readonly<z.infer<typeof recordSchema>>;

export async function writeRecord(file: string, record: PageRecord): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  await replaceFile(file, `${JSON.stringify(record)}\n`, 0o600);
}

/** Undefined when no page was noted, or by another release. */
export async function readRecord(file: string): Promise<PageRecord | undefined> {
  try {
    return recordSchema.safeParse(JSON.parse(await readFile(file, 'utf8'))).data;
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Removes the note of this process; one of a later page stays. */
export async function removeRecord(file: string, pid: number): Promise<void> {
  if ((await readRecord(file))?.pid === pid) await rm(file, { force: true });
}

/** 256 bits. */
export function newToken(): string {
  return randomBytes(32).toString('base64url');
}
