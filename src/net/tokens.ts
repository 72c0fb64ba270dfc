import { readFile } from 'node:fs/promises';
import { isMissing } from './files.js';

/**
 * The token in a file, which clients send, then those that are accepted while it is replaced: in the files beside it with
 * the endings `.next` and `.last`. Rejects if the file is missing or empty.
 */
export async function readTokens(file: string): Promise<readonly [string, ...string[]]> {
  // A replacement writes the last one before it moves the next one into the place of the first.
  const token = (await readFile(file, 'utf8')).trim();
  if (token === '') throw new Error(`${file} is empty`);
  const others = await Promise.all([`${file}.next`, `${file}.last`].map(readIfThere));
  return [token, ...others.filter((other) => other !== '')];
}

async function readIfThere(file: string): Promise<string> {
  return readFile(file, 'utf8').then(
    (text) => text.trim(),
    (error: unknown) => {
      if (isMissing(error)) return '';
      throw error;
    },
  );
}
