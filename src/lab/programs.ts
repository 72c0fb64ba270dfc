import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';

/**
 * PATH of a lab host: that of a real login, whatever PATH this process has. Debian gives the `sbin`
 * directories only to root; sshd is there, and works for every user.
 */
export const hostPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Absolute path of the first executable with this name in the search path. */
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
