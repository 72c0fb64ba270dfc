import path from 'node:path';
import { abortable } from '../net/abortable.js';
import { xdgDirectory } from '../cluster/home.js';
import type { SshPool } from '../ssh/connection.js';
import type { CommandContext } from './command.js';

/**
 * Directory of pinned keys of hosts without a known_hosts file: `$XDG_STATE_HOME/perijove/known_hosts`, else
 * `~/.local/state/perijove/known_hosts`, one file per host.
 */
export function knownHostsDir(env: NodeJS.ProcessEnv): string {
  return path.join(stateDir(env), 'known_hosts');
}

/** What Perijove keeps on this machine, by the XDG Base Directory Specification. @throws PerijoveError LOCAL_FILE */
export function stateDir(env: NodeJS.ProcessEnv): string {
  return path.join(xdgDirectory('XDG_STATE_HOME', env), 'perijove');
}

/** SSH connections for as long as `work` runs, or until Ctrl-C: it then rejects with the reason of the signal. */
export async function withHosts<T>(
  { env, signal }: Pick<CommandContext, 'env' | 'signal'>,
  work: (pool: SshPool) => Promise<T>,
): Promise<T> {
  const [{ createSshPool }, { pino }] = await Promise.all([import('../ssh/pool.js'), import('pino')]);
  const pool = createSshPool({ logger: pino({ level: 'silent' }), knownHostsDir: knownHostsDir(env) });
  try {
    return await abortable(work(pool), signal);
  } finally {
    await pool.close();
  }
}
