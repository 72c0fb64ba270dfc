import os from 'node:os';
import path from 'node:path';
import type { SshPool } from '../ssh/connection.js';
import type { CommandContext } from './command.js';

/**
 * Directory of pinned keys of hosts without a known_hosts file: `$XDG_STATE_HOME/perijove/known_hosts`, else
 * `~/.local/state/perijove/known_hosts`, one file per host.
 */
export function knownHostsDir(env: NodeJS.ProcessEnv): string {
  const state = env['XDG_STATE_HOME'];
  const base =
    state !== undefined && path.isAbsolute(state) ? state : path.join(os.homedir(), '.local', 'state');
  return path.join(base, 'perijove', 'known_hosts');
}

/** SSH connections that last as long as `work` runs. */
export async function withHosts<T>(
  { env }: Pick<CommandContext, 'env'>,
  work: (pool: SshPool) => Promise<T>,
): Promise<T> {
  const [{ createSshPool }, { pino }] = await Promise.all([import('../ssh/pool.js'), import('pino')]);
  const pool = createSshPool({ logger: pino({ level: 'silent' }), knownHostsDir: knownHostsDir(env) });
  try {
    return await work(pool);
  } finally {
    await pool.close();
  }
}
