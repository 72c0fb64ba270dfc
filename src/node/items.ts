import { noItems, type ConditionItem, type HostItems } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import { userText } from '../hosts/user-facts.js';
import { quote } from '../ssh/shell.js';
import { nodeProgram } from './config.js';
import { nodeSecretsCondition } from './secrets.js';

/**
 * V8 options of the programs inside a node: a host runs several, mostly idle nodes, so memory matters more
 * than speed.
 */
const nodeOptions = '--max-old-space-size=64 --max-semi-space-size=1 --optimize-for-size';

/**
 * What a host needs so that Mesos can start nodes on it. Containers include all programs except Perijove's
 * own, which they find at the host's paths.
 */
export function nodeItems(spec: ClusterSpec, host: HostSpec): HostItems {
  if (!host.roles.includes('agent')) return noItems;
  const paths = hostPaths(host);
  return {
    packages: spec.nodes.containerizer === 'docker' ? [] : packagesOfProcesses(spec),
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
    conditions: [nodeSecretsCondition(spec, host), ...userConditions(spec, host)],
  };
}

/** Notes for whom the notebooks were found to fit. Nodes read it nowhere. */
function userConditions({ nodes: { user } }: ClusterSpec, host: HostSpec): ConditionItem[] {
  if (user === undefined) return [];
  const file = quote(hostPaths(host).nodesUser);
  const text = userText(user).trim();
  return [
    {
      name: 'nodes-user',
      observe: `if [ -e ${file} ]; then cat ${file}; else echo none; fi`,
      actions: (printed) =>
        printed.trim() === text
          ? []
          : [
              {
                plan: `let nodes run as user ${text}`,
                done: `noted that nodes run as user ${text}`,
                script: `mkdir -p ${quote(hostPaths(host).etc)} && echo ${quote(text)} >${file}`,
              },
            ],
    },
  ];
}

function packagesOfProcesses({ etcd }: ClusterSpec): string[] {
  const ownEtcd = etcd.executable.startsWith('/');
  return [...(ownEtcd ? [] : ['etcd-server']), 'openssh-server', 'openssh-client', 'runit'];
}

/** `bin/perijove-node`: runs the program with the Node.js beside it. */
export function nodeWrapper(bin: string): string {
  return `#!/bin/sh\nexec '${bin}/node' ${nodeOptions} '${bin}/${nodeProgram}' "$@"\n`;
}
