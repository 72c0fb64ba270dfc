/**
 * The servers of an ensemble, each with the number that it keeps for as long as its host is a member: hosts may be
 * reordered, inserted and replaced. Pure.
 */
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { PerijoveError } from '../errors/error.js';
import type { Observation } from '../hosts/observation.js';
import { quote } from '../ssh/shell.js';

/** One `server.N` line. */
export interface ZooKeeperServer {
  /** Its `N`. */
  readonly id: number;
  readonly address: string;
  readonly peerPort: number;
  readonly electionPort: number;
}

/** What a host keeps of the ensemble. */
export interface ServerFiles {
  /** The content of `myid`, if there is one. */
  readonly id?: number;
  /** The members in its `zoo.cfg`; undefined without that file. */
  readonly servers?: readonly ZooKeeperServer[];
}

/**
 * What was observed by name on the hosts with the role; if none of those has a configuration, on all others, too: the
 * role may have moved.
 */
export type EnsembleFiles = Readonly<Record<string, Observation<ServerFiles>>>;

/** A standalone server names no members: it is the only one. */
export function withStandalone(host: HostSpec, files: ServerFiles): ServerFiles {
  const { id, servers } = files;
  return servers?.length === 0 && id !== undefined ? { id, servers: [serverOf(host, id)] } : files;
}

/** Whether any of the hosts has a configuration, or may have one. */
export function hasConfiguration(files: EnsembleFiles): boolean {
  return Object.values(files).some((found) => !found.known || found.value.servers !== undefined);
}

/** The server of a host with this number. */
export function serverOf(host: HostSpec, id: number): ZooKeeperServer {
  const { zookeeperPeer: peerPort, zookeeperElection: electionPort } = host.ports;
  return { id, address: host.address, peerPort, electionPort };
}

/**
 * The numbers of the hosts with the role, by name. A host keeps its `myid`; without that file, the number under which
 * other members know its address. A new host gets the lowest number that nobody has or had.
 *
 * @param unknown whether a host whose number is not known counts as new: enough to compare the others with a spec
 * @throws PerijoveError OBSERVATION_INCOMPLETE, ZOOKEEPER_NUMBER_TAKEN
 */
export function serverNumbers(
  spec: ClusterSpec,
  files: EnsembleFiles,
  unknown: 'is new' | 'is refused' = 'is refused',
): Readonly<Record<string, number>> {
  const hosts = hostsWithRole(spec, 'zookeeper');
  const lines = Object.values(files).flatMap(configuredServers);
  const numbers: Record<string, number> = {};
  const ownerOf = (id: number) => Object.keys(numbers).find((name) => numbers[name] === id);
  for (const { name } of hosts) {
    const found = files[name];
    const id = found?.known === true ? found.value.id : undefined;
    if (id === undefined) continue;
    const other = ownerOf(id);
    if (other !== undefined) {
      const message = `${other} and ${name} both have ZooKeeper's server number ${id}`;
      throw new PerijoveError('ZOOKEEPER_NUMBER_TAKEN', message, { host: name });
    }
    numbers[name] = id;
  }
  for (const { name, address } of hosts) {
    if (numbers[name] !== undefined) continue;
    const line = lines.find((server) => server.address === address && ownerOf(server.id) === undefined);
    if (line !== undefined) numbers[name] = line.id;
  }
  for (const { name } of hosts) {
    if (numbers[name] !== undefined) continue;
    const found = files[name];
    if (found?.known !== true && unknown === 'is refused') {
      const why = found?.why ?? 'it was not asked';
      const message = `${name}: the number of its ZooKeeper server is not known: ${why}`;
      throw new PerijoveError('OBSERVATION_INCOMPLETE', message, { host: name });
    }
    const taken = new Set([...Object.values(numbers), ...lines.map(({ id }) => id)]);
    let id = 1;
    while (taken.has(id)) id += 1;
    numbers[name] = id;
  }
  return numbers;
}

/** The spec with the numbers that its servers have. @throws as `serverNumbers` */
export function withServerNumbers(
  spec: ClusterSpec,
  files: EnsembleFiles,
  unknown?: 'is new' | 'is refused',
): ClusterSpec {
  const numbers = serverNumbers(spec, files, unknown);
  return { ...spec, zookeeper: { ...spec.zookeeper, numbers, servers: serversOf(spec, numbers) } };
}

/** The members of the spec, with these numbers. */
export function serversOf(
  spec: ClusterSpec,
  numbers: Readonly<Record<string, number>>,
): readonly ZooKeeperServer[] {
  return hostsWithRole(spec, 'zookeeper').map((host) => serverOf(host, numbers[host.name] ?? 0));
}

/** A membership between the present and the desired one. */
export interface EnsembleStep {
  readonly servers: readonly ZooKeeperServer[];
  /** Number of the server that joins. */
  readonly joins?: number;
  /** Number of the server that leaves, which is stopped if its host is still in the spec. */
  readonly leaves?: number;
}

/**
 * The memberships on the way to the desired one, each with one server more or less than the one before: so a majority
 * of one always shares a server with each majority of the next, and no two of them can elect two leaders, or lose what
 * was written. The servers of a step restart together: in between, one with the membership before may wait for others
 * that no longer count its vote. None when the members have not changed, or nothing was configured yet.
 *
 * @param desired the spec's servers
 * @param present numbers of the servers whose hosts are in the spec
 */
export function ensembleSteps(
  files: EnsembleFiles,
  desired: readonly ZooKeeperServer[],
  present: ReadonlySet<number>,
): readonly EnsembleStep[] {
  const configs = Object.values(files)
    .map(configuredServers)
    .filter((servers) => servers.length > 0);
  const union = new Map(configs.flat().map((server) => [server.id, server]));
  if (union.size === 0) return [];
  const wanted = new Map(desired.map((server) => [server.id, server]));
  let members = byId([...union.values()].map((server) => wanted.get(server.id) ?? server));
  const isCurrent = configs.every((config) => sameServers(config, members));
  if (isCurrent && sameServers(members, desired)) return [];
  // An earlier change was interrupted, or the servers have other addresses or ports now.
  const steps: EnsembleStep[] = isCurrent ? [] : [{ servers: members }];
  const leave = ({ id }: ZooKeeperServer) => {
    members = members.filter((server) => server.id !== id);
    steps.push({ servers: members, leaves: id });
  };
  // First those that cannot be asked: they may be dead, and a membership that counts on them have no majority.
  const gone = members.filter(({ id }) => !wanted.has(id) && !present.has(id));
  if (gone.length < members.length) gone.forEach(leave);
  for (const server of byId(desired)) {
    if (union.has(server.id)) continue;
    members = byId([...members, server]);
    steps.push({ servers: members, joins: server.id });
  }
  members.filter(({ id }) => !wanted.has(id)).forEach(leave);
  return steps;
}

/**
 * The spec during a step: its members have the role, and no other host.
 *
 * @param numbers of the servers, by host, those that leave included
 */
export function specOfStep(
  spec: ClusterSpec,
  { servers }: Pick<EnsembleStep, 'servers'>,
  numbers: Readonly<Record<string, number>>,
): ClusterSpec {
  const isMember = ({ name }: HostSpec) => servers.some(({ id }) => id === numbers[name]);
  const hosts = spec.hosts.map((host): HostSpec => {
    const others = host.roles.filter((role) => role !== 'zookeeper');
    return { ...host, roles: isMember(host) ? [...others, 'zookeeper'] : others };
  });
  return { ...spec, hosts, zookeeper: { ...spec.zookeeper, numbers, servers } };
}

/** The number of each host that is or was a member, by name: those that leave are known by their address. */
export function numbersWithLeavers(
  spec: ClusterSpec,
  files: EnsembleFiles,
): Readonly<Record<string, number>> {
  const numbers = serverNumbers(spec, files);
  const taken = new Set(Object.values(numbers));
  const lines = Object.values(files)
    .flatMap(configuredServers)
    .filter(({ id }) => !taken.has(id));
  const leavers = spec.hosts.flatMap(({ name, address }) => {
    const line = numbers[name] === undefined && lines.find((server) => server.address === address);
    return line ? [[name, line.id] as const] : [];
  });
  return { ...numbers, ...Object.fromEntries(leavers) };
}

function configuredServers(found: Observation<ServerFiles>): readonly ZooKeeperServer[] {
  return found.known ? (found.value.servers ?? []) : [];
}

function byId(servers: readonly ZooKeeperServer[]): readonly ZooKeeperServer[] {
  return servers.toSorted((a, b) => a.id - b.id);
}

function sameServers(one: readonly ZooKeeperServer[], other: readonly ZooKeeperServer[]): boolean {
  const text = (servers: readonly ZooKeeperServer[]) => byId(servers).map(serverLine).join('\n');
  return text(one) === text(other);
}

export function serverLine({ id, address, peerPort, electionPort }: ZooKeeperServer): string {
  return `server.${id}=${address}:${peerPort}:${electionPort}`;
}

// --- what a host keeps ------------------------------------------------------------------------------------

/** Prints what `parseServerFiles` reads, by the shell alone. Fails if a file is there and cannot be opened. */
export function serverFilesScript(paths: { readonly config: string; readonly myid: string }): string {
  const myid = quote(paths.myid);
  const config = quote(paths.config);
  return `if [ -e ${myid} ]; then
  exec 3< ${myid} || exit 1
  read -r id <&3
  echo "myid $id"
fi
if [ -e ${config} ]; then
  exec 4< ${config} || exit 1
  echo configured
  while read -r line <&4 || [ -n "$line" ]; do case $line in server.*) echo "$line" ;; esac; done
fi
echo end`;
}

/** @returns undefined for output that was cut off, or files that cannot be understood */
export function parseServerFiles(printed: string): ServerFiles | undefined {
  const lines = printed.split('\n').map((line) => line.trim());
  const rest = lines.filter((line) => line !== '');
  if (rest.pop() !== 'end') return undefined;
  let id: number | undefined;
  let servers: ZooKeeperServer[] | undefined;
  for (const line of rest) {
    const [, own] = /^myid (\d+)$/.exec(line) ?? [];
    const [, number, address = '', peerPort, electionPort] =
      /^server\.(\d+)=([^:;]+):(\d+):(\d+)(?:[:;].*)?$/.exec(line) ?? [];
    if (own !== undefined) id = Number(own);
    else if (line === 'configured') servers = [];
    else if (number !== undefined && servers !== undefined)
      servers.push({
        ...{ id: Number(number), address },
        ...{ peerPort: Number(peerPort), electionPort: Number(electionPort) },
      });
    // An empty `myid` is as good as none: the others know the number.
    else if (line !== 'myid') return undefined;
  }
  return { ...(id !== undefined && { id }), ...(servers !== undefined && { servers }) };
}
