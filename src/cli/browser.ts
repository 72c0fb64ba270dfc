import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { PerijoveError } from '../errors/error.js';
import { replaceFile } from '../net/files.js';
import { escapeHtml } from '../net/html.js';

/**
 * Opens a URL in the user's browser. The URL may contain a token, and every user of the machine can read a
 * command line, so the browser gets a file that redirects there and that only this user can read. The file
 * name is fixed, because there is no way to know when the browser has read it.
 *
 * @throws PerijoveError LOCAL_PROGRAM_MISSING
 */
export async function openPage(url: string, env: NodeJS.ProcessEnv): Promise<void> {
  const directory = path.join(env['XDG_RUNTIME_DIR'] ?? path.join(os.homedir(), '.cache'), 'perijove');
  await mkdir(directory, { recursive: true });
  await chmod(directory, 0o700);
  const file = path.join(directory, 'open.html');
  await replaceFile(file, redirectPage(url), 0o600);
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
