import { noItems, type HostItems } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import type { ClusterSpec, HostSpec } from '../spec/cluster.js';
import { nodeProgram } from './config.js';

/**
 * V8 options of the programs inside a node: there are several nodes on a host and each is mostly idle, so
 * they trade speed for memory.
 */
const nodeOptions = '--max-old-space-size=64 --max-semi-space-size=1 --optimize-for-size';

/** What a host needs so that Mesos can start nodes on it. Nothing where the agent runs them from an image. */
export function nodeItems(spec: ClusterSpec, host: HostSpec): HostItems {
  if (spec.nodes.containerizer === 'docker' || !host.roles.includes('agent')) return noItems;
  const paths = hostPaths(host);
  return {
    packages: [
      ...(spec.etcd.executable.startsWith('/') ? [] : ['etcd-server']),
      'openssh-server',
      'openssh-client',
      'runit',
    ],
    directories: [
      { path: paths.bin, mode: 0o755 },
      { path: paths.data, mode: 0o755 },
      { path: `${paths.data}/nodes`, mode: 0o755 },
    ],
    files: [
      { path: paths.node, mode: 0o755, source: { kind: 'node' } },
      { path: `${paths.bin}/${nodeProgram}`, mode: 0o644, source: { kind: 'program', name: nodeProgram } },
      {
        path: `${paths.bin}/perijove-node`,
        mode: 0o755,
        source: { kind: 'text', text: nodeWrapper(paths.bin) },
      },
    ],
    services: [],
  };
}

/** `bin/perijove-node`: runs the program with the Node.js that lies beside it. */
export function nodeWrapper(bin: string): string {
  return `#!/bin/sh\nexec '${bin}/node' ${nodeOptions} '${bin}/${nodeProgram}' "$@"\n`;
}
