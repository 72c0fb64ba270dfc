import { PerijoveError } from './error.js';

const words: Readonly<Record<string, string>> = {
  EROFS: 'its file system is read-only',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENOSPC: 'no space left on device',
  EDQUOT: 'disk quota exceeded',
};

/**
 * What an error of Node.js about a file of this machine means for a person, where that person is who can mend it;
 * undefined for any other error.
 */
export function localFileError(thrown: unknown): PerijoveError | undefined {
  if (!(thrown instanceof Error)) return undefined;
  const { code = '', path } = thrown as NodeJS.ErrnoException;
  const why = words[code];
  if (why === undefined || path === undefined) return undefined;
  return new PerijoveError('LOCAL_FILE', `cannot use ${path}: ${why}`, { file: path, cause: thrown });
}
