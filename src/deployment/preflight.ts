/** The problems that block a deployment, decided from the facts of the hosts. Pure: workflows import it. */
import { errorCodes, type ErrorCode } from '../errors/codes.js';
import {
  brickHosts,
  nodeAddress,
  nodeName,
  notebooksDirectory,
  proxyApiAddress,
  type ClusterSpec,
  type HostSpec,
} from '../cluster/spec.js';
import type { FactsWanted, HostFacts, Listener } from '../hosts/facts.js';
import type { HostItems } from '../hosts/items.js';
import { hostPaths, isSystemDirectory } from '../hosts/paths.js';
import type { Problem } from '../hosts/problem.js';

/** The Node.js binary alone has 100 MB; data and logs are added to it. */
const leastFreeBytes = 512 * 1024 * 1024;
/** A host of the lab has about 500 files, with two of five nodes on it; logs, archives and data are added. */
const leastFreeInodes = 1_000;
const clockToleranceMs = 1_000;
/** Characters of a command line that suffice to identify it. */
const longestCommand = 60;

/** An endpoint on which a program of the cluster will listen. */
interface Place {
  readonly what: string;
  readonly address: string;
  readonly port: number;
}

/**
 * The facts of a host that `preflightProblems` needs.
 *
 * @param dirs of hosts that `spec` lacks: their programs may listen on the same machine
 */
export function factsWanted(
  spec: ClusterSpec,
  host: HostSpec,
  items: HostItems,
  dirs: readonly string[] = [],
): FactsWanted {
  return {
    packages: items.packages,
    daemons: items.daemons ?? [],
    ports: [...new Set(places(spec, host).map(({ port }) => port))],
    programs: programs(spec, host),
    addresses: boundAddresses(spec, host),
    writable: [host.dir, ...storagePaths(spec, host)],
    apart: bricks(spec, host),
    dirs: [...new Set([...spec.hosts.map(({ dir }) => dir), ...dirs])],
    ...userWanted(spec, host),
  };
}

function userWanted(spec: ClusterSpec, host: HostSpec): Pick<FactsWanted, 'user'> {
  const { user } = spec.nodes;
  if (user === undefined || user.uid === 0 || !host.roles.includes('agent')) return {};
  const paths = hostPaths(host);
  return {
    user: {
      ...user,
      processes: hasProcessNodes(spec, host),
      notebooks: notebooksDirectory(spec),
      trees: `${paths.data}/nodes`,
      last: paths.nodesUser,
    },
  };
}

/** All problems at once, each with its host and a remedy; empty if nothing blocks the deployment. */
export function preflightProblems(
  spec: ClusterSpec,
  facts: readonly HostFacts[],
  items: Readonly<Record<string, HostItems>> = {},
): Problem[] {
  return [
    ...tierProblems(spec),
    ...spec.hosts.flatMap((host) => {
      const found = facts.find((each) => each.host === host.name);
      return found === undefined ? [] : hostProblems(spec, host, found, items[host.name]?.packages ?? []);
    }),
    ...clockProblems(facts),
  ];
}

function problem(
  code: ErrorCode,
  message: string,
  options: { host?: string; remedy?: string } = {},
): Problem {
  const { host, remedy = errorCodes[code].remedy } = options;
  return { code, message, remedy, ...(host === undefined ? {} : { host }) };
}

function tierProblems({ nodes, mesos }: ClusterSpec): Problem[] {
  return [
    ...(mesos.install.kind === 'image' && nodes.containerizer === 'mesos'
      ? [
          problem(
            'MESOS_IMAGE_PROCESS_NODES',
            'an agent in a container (mesos.install: image) cannot run process nodes (nodes.containerizer: mesos)',
          ),
        ]
      : []),
  ];
}

function hostProblems(
  spec: ClusterSpec,
  host: HostSpec,
  facts: HostFacts,
  packages: readonly string[],
): Problem[] {
  const at: ProblemAt = (code, message, remedy) =>
    problem(code, `${host.name}: ${message}`, {
      host: host.name,
      ...(remedy === undefined ? {} : { remedy }),
    });
  const missing = packages.filter((name) => !facts.packages.includes(name));
  return [
    ...(isSystemDirectory(host.dir) ? [at('DIR_REFUSED', `dir is a system directory: ${host.dir}`)] : []),
    ...directoryProblems(spec, host, facts, at),
    ...userProblems(spec, facts, at),
    ...bricks(spec, host)
      .filter((brick) => !facts.apart.includes(brick))
      .map((brick) => at('STORAGE_BRICK_ROOT', `${brick} is on the root file system`)),
    ...initProblems(host, facts, packages).map((message) => at('NO_INIT', message)),
    ...packageProblems(facts, missing, at),
    ...programs(spec, host)
      .filter((name) => !facts.programs.includes(name))
      .map((name) => at('PROGRAM_MISSING', `program not found: ${name}`)),
    // systemd starts those that are not running.
    ...facts.daemons
      .filter(({ answers }) => !answers && !facts.init.systemd)
      .map(({ name }) => at('DAEMON_MISSING', `${name} is not running, and there is no systemd to start it`)),
    ...boundAddresses(spec, host)
      .filter((address) => !facts.addresses.includes(address))
      .map((address) => at('ADDRESS_NOT_LOCAL', `no interface has the address ${address}`)),
    ...clashesOf(spec, host, facts).map((message) => at('PORT_IN_USE', message)),
  ];
}

type ProblemAt = (code: ErrorCode, message: string, remedy?: string) => Problem;

function directoryProblems(
  spec: ClusterSpec,
  { dir, ...host }: HostSpec,
  facts: HostFacts,
  at: ProblemAt,
): Problem[] {
  const { dangling = [], freeBytes, freeInodes, noexec, writable } = facts;
  // Whatever else is wrong with them concerns the directory above the link.
  const unwritable = (path: string) =>
    !writable.includes(path) && !dangling.some((each) => each.path === path);
  return [
    ...dangling.map(({ path, link, target }) =>
      at(
        'DIR_DANGLING',
        `${link === path ? path : `${link}, above ${path},`} is a symbolic link to ${target}, which does not exist`,
      ),
    ),
    ...(unwritable(dir) ? [at('DIR_NOT_WRITABLE', `cannot write to ${dir}`)] : []),
    ...(noexec === undefined
      ? []
      : [at('DIR_NOEXEC', `no program can run in ${dir}: ${noexec} is mounted with noexec`)]),
    ...(freeBytes >= leastFreeBytes
      ? []
      : [
          at(
            'DISK_FULL',
            `only ${mebibytes(freeBytes)} are free at ${dir}; at least ${mebibytes(leastFreeBytes)} are required`,
          ),
        ]),
    ...(freeInodes === undefined || freeInodes >= leastFreeInodes
      ? []
      : [
          at(
            'INODES_SHORT',
            `only ${freeInodes} inodes are free at ${dir}; at least ${leastFreeInodes} are required`,
          ),
        ]),
    ...storagePaths(spec, host)
      .filter(unwritable)
      .map((path) => at('STORAGE_NOT_WRITABLE', `cannot write to ${path}`)),
  ];
}

function userProblems({ nodes, storage }: ClusterSpec, facts: HostFacts, at: ProblemAt): Problem[] {
  const { userObstacle, foreign, foreignUnknown } = facts;
  const found =
    foreign === undefined
      ? foreignUnknown &&
        `it is unknown whether user ${nodes.user?.uid} can write all notebooks: ${foreignUnknown}`
      : `user ${nodes.user?.uid} cannot write ${foreign.replace('/./', '/').replace(/\/\.$/, '')}`;
  return [
    ...(userObstacle === undefined
      ? []
      : [at('NODE_USER_UNUSABLE', `nodes cannot run as user ${nodes.user?.uid}: ${userObstacle}`)]),
    ...(found === undefined || storage.takeOwnership === true ? [] : [at('STORAGE_OF_OTHERS', found)]),
  ];
}

function packageProblems(facts: HostFacts, missing: readonly string[], at: ProblemAt): Problem[] {
  if (missing.length === 0) return [];
  const names = missing.join(' ');
  if (!facts.apt)
    return [
      at('UNSUPPORTED_OS', `packages missing, and ${facts.os.name} has no apt to install them: ${names}`),
    ];
  if (facts.uid === 0) return [];
  return [
    at(
      'PACKAGE_MISSING_NO_ROOT',
      `packages missing: ${names}`,
      `Run \`sudo apt-get install ${names}\` there, connect as root, or set \`become: sudo\`.`,
    ),
  ];
}

function initProblems(host: HostSpec, { init, apt, uid }: HostFacts, packages: readonly string[]): string[] {
  // `converge` installs runit if it is missing and may be installed.
  const runit = init.runit || packages.includes('runit') || (apt && uid === 0);
  switch (host.init) {
    case 'systemd':
      return init.systemd ? [] : ['systemd is not running as PID 1'];
    case 'runit':
      return runit ? [] : ['runit is not installed'];
    case 'auto':
      return init.systemd || runit ? [] : ['neither systemd nor runit is available'];
  }
}

/** Clocks that differ by more than a second, even with the largest possible error of both measurements. */
function clockProblems(facts: readonly HostFacts[]): Problem[] {
  return facts.flatMap((a, index) =>
    facts.slice(index + 1).flatMap((b) => {
      if (a.clock.reference !== b.clock.reference) return [];
      const apartMs = Math.abs(a.clock.offsetMs - b.clock.offsetMs);
      if (apartMs - a.clock.errorMs - b.clock.errorMs <= clockToleranceMs) return [];
      const [ahead, behind] = a.clock.offsetMs > b.clock.offsetMs ? [a, b] : [b, a];
      const seconds = (apartMs / 1000).toFixed(1);
      return [
        problem('CLOCK_SKEW', `the clock of ${ahead.host} is ${seconds} s ahead of that of ${behind.host}`, {
          host: ahead.host,
        }),
      ];
    }),
  );
}

/** One message for each program that uses ports of the cluster, with all of them. */
function clashesOf(spec: ClusterSpec, host: HostSpec, { listeners }: HostFacts): string[] {
  const clashing = new Map<string, Place[]>();
  for (const place of places(spec, host)) {
    const listener = listeners.find((each) => clashes(place, each));
    if (listener === undefined) continue;
    const name = listenerName(listener);
    clashing.set(name, [...(clashing.get(name) ?? []), place]);
  }
  return [...clashing].map(([name, taken]) => {
    const where = taken.map(({ what, address, port }) => `${what} needs ${address}:${port}`);
    return `${where.join(', and ')}, but ${name} listens there`;
  });
}

function clashes(place: Place, listener: Listener): boolean {
  return (
    !listener.own &&
    listener.port === place.port &&
    (listener.address === '*' || listener.address === place.address)
  );
}

function listenerName({ pid, command }: Listener): string {
  if (pid === undefined) return 'a program of another user';
  const name = command === undefined || command === '' ? 'a program' : command;
  return `${name.length > longestCommand ? `${name.slice(0, longestCommand)}…` : name} (process ${pid})`;
}

/** All endpoints of the cluster on a host: its services, and the process nodes that may run on it. */
function places(spec: ClusterSpec, host: HostSpec): Place[] {
  const { address, ports, roles } = host;
  const service = (what: string, port: number): Place => ({ what, address, port });
  return [
    ...(roles.includes('zookeeper')
      ? [
          service('ZooKeeper', ports.zookeeper),
          service("ZooKeeper's peer port", ports.zookeeperPeer),
          service("ZooKeeper's election port", ports.zookeeperElection),
        ]
      : []),
    ...(roles.includes('master') ? [service('the Mesos master', ports.master)] : []),
    ...(roles.includes('agent') ? [service('the Mesos agent', ports.agent)] : []),
    ...(roles.includes('proxy')
      ? [
          service('the proxy', ports.proxy),
          { what: "the proxy's API", address: proxyApiAddress(host), port: ports.proxyApi },
        ]
      : []),
    ...(hasProcessNodes(spec, host) ? nodePlaces(spec) : []),
  ];
}

function nodePlaces(spec: ClusterSpec): Place[] {
  const { nodes, etcd, jupyter } = spec;
  return Array.from({ length: nodes.count }, (_, index) => {
    const address = nodeAddress(spec, index);
    const place = (what: string, port: number): Place => ({
      what: `${what} of ${nodeName(index)}`,
      address,
      port,
    });
    return [
      place('etcd', etcd.clientPort),
      place('etcd', etcd.peerPort),
      place('sshd', nodes.sshPort),
      place('the API', nodes.controlPort),
      place('Jupyter', jupyter.port),
    ];
  }).flat();
}

function hasProcessNodes({ nodes }: ClusterSpec, { roles }: HostSpec): boolean {
  return nodes.containerizer === 'mesos' && roles.includes('agent');
}

/** Programs that no package of ours installs. */
function programs(spec: ClusterSpec, host: HostSpec): string[] {
  const { zookeeper, etcd, jupyter } = spec;
  const { roles } = host;
  return [
    ...(zookeeper.install.kind === 'path' && roles.includes('zookeeper')
      ? [`${zookeeper.install.path}/lib`]
      : []),
    ...(zookeeper.install.kind !== 'package' && roles.includes('zookeeper') ? ['java'] : []),
    ...(hasProcessNodes(spec, host)
      ? [jupyter.executable, ...(etcd.executable.startsWith('/') ? [etcd.executable] : [])]
      : []),
  ];
}

/** Addresses that programs on the host bind: its own, and those of the process nodes that may run on it. */
function boundAddresses(spec: ClusterSpec, host: HostSpec): string[] {
  const nodes = hasProcessNodes(spec, host)
    ? Array.from({ length: spec.nodes.count }, (_, index) => nodeAddress(spec, index))
    : [];
  return [host.address, ...nodes];
}

function storagePaths({ storage }: ClusterSpec, { roles }: Pick<HostSpec, 'roles'>): string[] {
  return storage.kind === 'path' && roles.includes('agent') ? [storage.path] : [];
}

/** Location of a brick, if GlusterFS would refuse it on the root file system. */
function bricks(spec: ClusterSpec, host: HostSpec): string[] {
  const { storage } = spec;
  if (storage.kind !== 'gluster' || storage.force === true) return [];
  return brickHosts(spec).some(({ name }) => name === host.name) ? [storage.brick] : [];
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 1024 / 1024)} MiB`;
}
