import { pino } from 'pino';
import type { SshPool } from '../../src/ssh/connection.js';
import { createSshPool } from '../../src/ssh/pool.js';

/** SSH connections whose log nobody reads. `knownHostsDir` keeps the keys that they pin. */
export function silentPool(knownHostsDir: string): SshPool {
  return createSshPool({ logger: pino({ level: 'silent' }), knownHostsDir });
}
