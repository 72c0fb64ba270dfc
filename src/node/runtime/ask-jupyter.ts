import { request } from 'node:http';
import type { NodeConfig } from '../config.js';
import { nodeLayout } from '../layout.js';
import { doorAt, userOf, type Door } from './user.js';

/** Longer than the list of a thousand kernels. */
const longestBytes = 1024 * 1024;

/**
 * The body with which the node's Jupyter answered in time: a GET with 200, a DELETE with 204. Undefined otherwise. It
 * never waits for a Jupyter that has no socket yet, or whose socket is not its own.
 */
export async function askJupyter(
  config: NodeConfig,
  token: string,
  path: string,
  withinMs: number,
  method: 'GET' | 'DELETE' = 'GET',
): Promise<string | undefined> {
  let door: Door;
  try {
    door = doorAt(nodeLayout(config.paths.base).jupyterSocket, userOf(config));
  } catch {
    return undefined;
  }
  const headers = { authorization: `token ${token}` };
  return new Promise<string | undefined>((resolve) => {
    const signal = AbortSignal.timeout(withinMs);
    const asked = request(
      { socketPath: door.path, path, method, headers, signal, agent: false },
      (response) => {
        if (response.statusCode !== (method === 'GET' ? 200 : 204)) {
          response.resume();
          resolve(undefined);
          return;
        }
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
          if (text.length > longestBytes) asked.destroy(new Error('the response is too long'));
        });
        response.on('end', () => resolve(text));
        response.on('error', () => resolve(undefined));
      },
    );
    asked.on('error', () => resolve(undefined));
    asked.end();
  }).finally(door.close);
}
