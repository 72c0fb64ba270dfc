import { hostsWithRole, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { PerijoveError } from '../errors/error.js';
import { observedOn } from '../hosts/observation.js';
import { needsTransition, nodeTreesScript, parseNodeTrees, type NodeTree } from '../node/memory.js';
import type { SshPool } from '../ssh/connection.js';

const treesMs = 30_000;

/**
 * Whether the nodes must be brought to `etcd.security: transition` first, one after the other, so that all members reach
 * each other on the way to the spec's. Hosts that do not answer have no say: a node that starts there later asks the
 * others.
 *
 * @throws PerijoveError OBSERVATION_INCOMPLETE
 */
export async function etcdTransition(pool: SshPool, spec: ClusterSpec): Promise<boolean> {
  const trees = await Promise.all(hostsWithRole(spec, 'agent').map((host) => treesOf(pool, host)));
  return needsTransition(spec, trees.flat());
}

async function treesOf(pool: SshPool, host: HostSpec): Promise<readonly NodeTree[]> {
  const output = await pool
    .get(host)
    .then((connection) => connection.run(nodeTreesScript(host), { timeoutMs: treesMs }))
    .catch((error: unknown) => {
      if (error instanceof PerijoveError && error.code.startsWith('SSH_')) return undefined;
      throw error;
    });
  return output === undefined ? [] : observedOn(host.name, parseNodeTrees(output));
}
