import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';

/**
 * PATH of a lab host: what the login of a real one would have, whatever PATH this process has. Debian gives
 * the `sbin` directories to root alone; sshd lies there, and works for everyone.
 */
export const hostPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The absolute path of an executable file of that name, from the first directory that has one. */
export function findProgram(name: string, searchPath = process.env['PATH'] ?? hostPath): string | undefined {
  return searchPath
    .split(path.delimiter)
    .filter((directory) => path.isAbsolute(directory))
    .map((directory) => path.join(directory, name))
    .find(isExecutable);
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
