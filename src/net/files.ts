import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';

/** Replaces the file atomically: readers find the old text or the new one, also after a crash. */
export async function replaceFile(path: string, text: string, mode = 0o644): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  try {
    {
      await using file = await open(temporary, 'wx', mode);
      await file.writeFile(text);
      await file.sync();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/**
 * Overwrites an existing file in place, in one write: a mounted file (Docker mounts /etc/hosts) cannot be
 * replaced. Creates the file if it is missing.
 */
export async function overwriteFile(path: string, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  await using file = await open(path, 'r+').catch((error: unknown) => {
    if (isMissing(error)) return open(path, 'w', 0o644);
    throw error;
  });
  await file.write(bytes, 0, bytes.length, 0);
  await file.truncate(bytes.length);
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
