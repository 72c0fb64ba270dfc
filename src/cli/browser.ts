import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { homeDir } from '../cluster/home.js';
import { messageOf, PerijoveError } from '../errors/error.js';
import { replaceFile } from '../net/files.js';
import { escapeHtml } from '../net/html.js';

/**
 * Opens a URL in the user's browser. The URL may contain a token, and every user of the machine can read a
 * command line, so the browser gets a file that redirects there and that only this user can read. The file
 * name is fixed, because there is no way to know when the browser has read it.
 *
 * @throws PerijoveError LOCAL_PROGRAM_MISSING, LOCAL_FILE
 */
export async function openPage(url: string, env: NodeJS.ProcessEnv): Promise<void> {
  const directory = path.join(env['XDG_RUNTIME_DIR'] ?? path.join(homeDir(), '.cache'), 'perijove');
  const file = path.join(directory, 'open.html');
  try {
    await mkdir(directory, { recursive: true });
    await chmod(directory, 0o700);
    await replaceFile(file, redirectPage(url), 0o600);
  } catch (cause) {
    throw new PerijoveError('LOCAL_FILE', `cannot write ${file}: ${messageOf(cause)}`, {
      file,
      remedy: 'Set XDG_RUNTIME_DIR to a directory that can be written, or print the address with --url.',
      cause,
    });
  }
  const opener = process.platform === 'darwin' ? 'open' : 'xdg-open';
  const child = spawn(opener, [pathToFileURL(file).href], { stdio: 'ignore', env });
  try {
    await once(child, 'exit');
  } catch (cause) {
    throw new PerijoveError('LOCAL_PROGRAM_MISSING', `\`${opener}\` is not installed on this machine`, {
      remedy: 'Print the address with --url and open it yourself.',
      cause,
    });
  }
}

export function redirectPage(url: string): string {
  const escaped = escapeHtml(url);
  return `<!doctype html>\n<meta charset="utf-8">\n<meta http-equiv="refresh" content="0; url=${escaped}">\n<a href="${escaped}">Continue</a>\n`;
}
