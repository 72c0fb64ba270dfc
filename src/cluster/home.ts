import os from 'node:os';
import path from 'node:path';
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

const underHome = {
  XDG_CACHE_HOME: '.cache',
  XDG_CONFIG_HOME: '.config',
  XDG_STATE_HOME: '.local/state',
} as const;

/**
 * A base directory of the XDG specification: the variable's value if it is absolute, as the specification has it, else
 * its default below the home directory.
 *
 * @throws PerijoveError LOCAL_FILE
 */
export function xdgDirectory(
  name: keyof typeof underHome,
  env: NodeJS.ProcessEnv,
  home: () => string = homeDir,
): string {
  const given = env[name];
  return given !== undefined && path.isAbsolute(given) ? given : path.join(home(), underHome[name]);
}
