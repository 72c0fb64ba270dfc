/** The target of `logs` and `ssh`: a host or a node, and one of its services. */
import { PerijoveError } from '../errors/error.js';
import { hostPaths } from '../hosts/paths.js';
import { choices } from '../cluster/nearest.js';
import { agentService, masterService } from '../mesos/installation/items.js';
import { networkItems } from '../network/items.js';
import { nodeLayout, serviceNames } from '../node/layout.js';
import { pidFunction } from '../node/scripts.js';
import { hostsWithRole, nodeNames, type ClusterSpec, type HostSpec, type Role } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { storageItems } from '../storage/items.js';
import { zookeeperService } from '../zookeeper/items.js';

export type Target =
  | { readonly kind: 'host'; readonly host: HostSpec; readonly service?: string }
  | { readonly kind: 'node'; readonly node: string; readonly service?: string };

const servicesOfRoles: Readonly<Record<Role, string>> = {
  zookeeper: zookeeperService,
  master: masterService,
  agent: agentService,
  proxy: 'proxy',
};

export function hostServiceNames(spec: ClusterSpec, host: HostSpec): string[] {
  return [
    ...host.roles.map((role) => servicesOfRoles[role]),
    ...[networkItems(spec, host), storageItems(spec, host)].flatMap(({ services }) =>
      services.map(({ name }) => name),
    ),
  ];
}

/**
 * Parses `h1`, `h1/zookeeper`, `node3` or `node3/jupyter`. A host's services are those of its roles, network
 * and storage.
 *
 * @throws PerijoveError UNKNOWN_TARGET with the valid names
 */
export function parseTarget(spec: ClusterSpec, text: string): Target {
  const [name = '', service, ...rest] = text.split('/');
  const host = spec.hosts.find((each) => each.name === name);
  const isNode = nodeNames(spec).includes(name);
  if (!host && !isNode) {
    const names = [...spec.hosts.map((each) => each.name), ...nodeNames(spec)];
    throw unknownTarget(`${spec.name} has no host or node \`${name}\``, name, names);
  }
  const services: readonly string[] = host ? hostServiceNames(spec, host) : serviceNames;
  if (rest.length > 0 || (service !== undefined && !services.includes(service))) {
    const given = [service, ...rest].join('/');
    throw unknownTarget(`${name} has no service \`${given}\``, given, services);
  }
  const part = service === undefined ? {} : { service };
  return host ? { kind: 'host', host, ...part } : { kind: 'node', node: name, ...part };
}

/** The host of that name, which has an agent. @throws PerijoveError UNKNOWN_TARGET with the valid names */
export function agentHost(spec: ClusterSpec, name: string): HostSpec {
  const agents = hostsWithRole(spec, 'agent');
  const host = agents.find((each) => each.name === name);
  if (host) return host;
  const names = agents.map((each) => each.name);
  throw unknownTarget(`${spec.name} has no host \`${name}\` with an agent`, name, names);
}

export function unknownTarget(message: string, given: string, names: readonly string[]): PerijoveError {
  return new PerijoveError('UNKNOWN_TARGET', message, { remedy: choices(given, names) });
}

/** Where a node's files are. */
export interface NodePlace {
  readonly host: HostSpec;
  readonly layout: ReturnType<typeof nodeLayout>;
  /** Whether its processes are running there. */
  readonly live: boolean;
}

/**
 * Finds the host on which a node runs, or last ran, by querying the hosts directly: this needs no workflow.
 *
 * @throws PerijoveError NODE_NOWHERE; SSH_* when no host is reachable
 */
export async function locateNode(pool: SshPool, spec: ClusterSpec, node: string): Promise<NodePlace> {
  const answers = await Promise.allSettled(
    spec.hosts.map(async (host) => {
      const connection = await pool.get(host);
      const layout = nodeLayout(hostPaths(host).clusterNode(node));
      const output = await connection.run(locateScript(layout), { timeoutMs: 10_000 });
      const [state, newest] = output.trim().split(' ');
      return state === '' || state === undefined
        ? undefined
        : { host, layout, live: state === 'live', newest: Number(newest) };
    }),
  );
  const places = answers.flatMap((answer) =>
    answer.status === 'fulfilled' && answer.value ? [answer.value] : [],
  );
  const [found] = places.toSorted((a, b) => Number(b.live) - Number(a.live) || b.newest - a.newest);
  if (found) return found;
  const failure = answers.find((answer) => answer.status === 'rejected');
  if (failure && answers.every(({ status }) => status === 'rejected')) throw failure.reason;
  throw new PerijoveError('NODE_NOWHERE', `${node} was not found on any host that answers`, {
    subject: node,
  });
}

/**
 * Prints `live` or `dead`, and when the node last wrote a log (seconds since the epoch); nothing without a
 * tree.
 */
function locateScript(layout: ReturnType<typeof nodeLayout>): string {
  return [
    `cd ${quote(layout.base)} 2>/dev/null || exit 0`,
    pidFunction(layout.base),
    `if pid_of ${quote(layout.owner)} >/dev/null; then state=live; else state=dead; fi`,
    `echo "$state $(stat -c %Y ${quote(layout.log)}/*/current 2>/dev/null | sort -n | tail -n 1)"`,
  ].join('\n');
}
