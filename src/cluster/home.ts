import os from 'node:os';
import { messageOf, PerijoveError } from '../errors/error.js';

/**
 * The home directory of the user who runs this process: $HOME, else what the system has.
 *
 * @throws PerijoveError LOCAL_FILE where there is none: in containers, users may be without
 */
export function homeDir(): string {
  try {
    return os.homedir();
  } catch (cause) {
    throw new PerijoveError('LOCAL_FILE', `this user has no home directory: ${messageOf(cause)}`, {
      remedy: 'Set HOME, or XDG_STATE_HOME and XDG_CACHE_HOME, to directories that can be written.',
      cause,
    });
  }
}
