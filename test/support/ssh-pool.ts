import { pino } from 'pino';
import type { SshPool } from '../../src/ssh/connection.js';
import { createSshPool } from '../../src/ssh/pool.js';

/** SSH connections with a silent log. `knownHostsDir` holds the keys they pin. */
export function silentPool(knownHostsDir: string): SshPool {
  return createSshPool({ logger: pino({ level: 'silent' }), knownHostsDir });
}
