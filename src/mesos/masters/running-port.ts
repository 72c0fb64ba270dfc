/** Where a host's master listens now, by the host itself: its configuration may be older than the spec. */
import type { ClusterSpec, HostSpec } from '../../cluster/spec.js';
import { hostServices } from '../../hosts/services.js';
import type { SshPool } from '../../ssh/connection.js';
import { masterService } from '../installation/items.js';

/**
 * The port of the master that the host's init system runs; undefined when it runs none. Unlike the port in a znode,
 * no other user of the host can have chosen it.
 *
 * @throws PerijoveError SSH_*, COMMAND_FAILED, OBSERVATION_INCOMPLETE
 */
export async function runningMasterPort(
  pool: SshPool,
  spec: Pick<ClusterSpec, 'name'>,
  host: HostSpec,
): Promise<number | undefined> {
  const connection = await pool.get(host);
  const services = await hostServices(connection, spec.name);
  const [status] = await services.status([masterService]);
  if (status?.pid === undefined) return undefined;
  const words = await connection.run(`tr '\\000' '\\n' 2>/dev/null </proc/${status.pid}/cmdline || true`);
  const port = /^--port=(\d+)$/m.exec(words)?.[1];
  return port === undefined ? undefined : Number(port);
}
