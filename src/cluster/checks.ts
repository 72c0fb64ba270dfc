/** Checks of the spec beyond the format of each value: pure decisions over the normalized spec. */
import { durationMs } from './units.js';
import type { ErrorCode } from '../errors/codes.js';
import { addressNumber, addressText, isLoopback, parseSubnet } from './addresses.js';
import { bridgeAddresses, bridgeRange } from './bridges.js';
import {
  agentPatienceMs,
  etcdUid,
  hostsWithRole,
  majority,
  nodeAddress,
  nodeName,
  proxyApiAddress,
  type ClusterSpec,
  type HostPorts,
  type HostSpec,
  type Role,
} from './spec.js';
import type { ClusterFile } from './schema.js';

/** Keys and indices of a value in the file. */
export type SpecPath = readonly (string | number)[];

/** `hosts[1].ports.master` */
export function pathText(steps: SpecPath): string {
  return steps
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
    .replace(/^\./, '');
}

export interface Finding {
  readonly code: ErrorCode;
  /** The invalid value; if it is a default, the nearest enclosing value in the file. */
  readonly at: SpecPath;
  /** Other values that the finding depends on. If one of them is invalid itself, the finding is dropped. */
  readonly restsOn?: readonly SpecPath[];
  readonly message: string;
  /** A related value elsewhere in the file. */
  readonly see?: SpecPath;
  readonly remedy?: string;
}

const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`;

const roleNames: Readonly<Record<Role, string>> = {
  zookeeper: 'ZooKeeper',
  master: 'the Mesos master',
  agent: 'the Mesos agent',
  proxy: 'the proxy',
};

function rolePaths(spec: ClusterSpec): SpecPath[] {
  return spec.hosts.map((_, index) => ['hosts', index, 'roles']);
}

/** Each role has a host; the ensemble is odd; the quorum is at least a majority of the masters. */
function checkRoles(spec: ClusterSpec): Finding[] {
  const findings: Finding[] = [];
  const restsOn = rolePaths(spec);
  for (const role of Object.keys(roleNames) as Role[]) {
    if (hostsWithRole(spec, role).length === 0) {
      findings.push({
        code: 'SPEC_ROLE_MISSING',
        at: ['hosts'],
        restsOn,
        message: `no host has the role ${role}`,
      });
    }
  }
  const servers = hostsWithRole(spec, 'zookeeper').length;
  if (servers > 0 && servers % 2 === 0) {
    findings.push({
      code: 'SPEC_EVEN_ENSEMBLE',
      at: ['hosts'],
      restsOn,
      message: `an ensemble of ${servers} ZooKeeper servers tolerates no more failures than one of ${servers - 1}`,
      remedy: `Assign the role to ${servers - 1} or ${servers + 1} hosts.`,
    });
  }
  const masters = hostsWithRole(spec, 'master').length;
  const least = majority(masters);
  if (masters > 0 && (spec.mesos.quorum < least || spec.mesos.quorum > masters)) {
    findings.push({
      code: 'SPEC_QUORUM',
      at: ['mesos', 'quorum'],
      restsOn,
      message: `invalid quorum for ${count(masters, 'master')}: ${spec.mesos.quorum}`,
      remedy:
        least === masters
          ? `Use ${least}, or remove the key.`
          : `Use ${least} to ${masters}, or remove the key to use ${least}.`,
    });
  }
  return findings;
}

/** Entries whose key occurred before, each with the first entry that has it. */
function duplicates<T>(
  entries: readonly T[],
  key: (entry: T) => string,
): { readonly entry: T; readonly first: T }[] {
  const firsts = new Map<string, T>();
  return entries.flatMap((entry) => {
    const first = firsts.get(key(entry));
    if (first === undefined) firsts.set(key(entry), entry);
    return first === undefined ? [] : [{ entry, first }];
  });
}

function sshTarget({ ssh, jump }: HostSpec): string {
  return [jump?.address, jump?.port, ssh.address, ssh.port].join(' ');
}

/** The machine of a host, as far as the spec shows: one per SSH target, and one for all on loopback. */
function machine(host: HostSpec): string {
  const via = host.jump ? `${host.jump.address}:${host.jump.port}>` : '';
  return isLoopback(host.ssh.address) ? `${via}loopback` : `${via}${host.ssh.address}:${host.ssh.port}`;
}

/** Host names, addresses and SSH targets are unique; hosts on one machine have different directories. */
function checkHosts(spec: ClusterSpec): Finding[] {
  const hosts = spec.hosts.map((host, index) => ({ host, index }));
  const findings: Finding[] = [];
  const duplicate = (
    field: string,
    key: (host: HostSpec) => string,
    message: (host: HostSpec, first: HostSpec) => string,
  ) => {
    for (const { entry, first } of duplicates(hosts, ({ host }) => key(host))) {
      findings.push({
        code: 'SPEC_DUPLICATE_HOST',
        at: ['hosts', entry.index, field],
        see: ['hosts', first.index, field],
        message: message(entry.host, first.host),
      });
    }
  };
  duplicate(
    'name',
    (host) => host.name,
    (host) => `duplicate host name: ${host.name}`,
  );
  duplicate(
    'address',
    (host) => host.address,
    (host, first) => `${host.name} and ${first.name} have the same address: ${host.address}`,
  );
  const addressesDiffer = duplicates(hosts, ({ host }) => sshTarget(host)).filter(
    ({ entry, first }) => entry.host.address !== first.host.address,
  );
  for (const { entry, first } of addressesDiffer) {
    findings.push({
      code: 'SPEC_DUPLICATE_HOST',
      at: ['hosts', entry.index, 'sshAddress'],
      see: ['hosts', first.index, 'sshAddress'],
      message: `${entry.host.name} and ${first.host.name} have the same SSH target: ${entry.host.ssh.address}:${entry.host.ssh.port}`,
    });
  }
  // Hosts on loopback share a machine. Whether other hosts do is checked by the preflight.
  const onOneMachine = hosts.filter(({ host }) => isLoopback(host.ssh.address));
  for (const { entry, first } of duplicates(onOneMachine, ({ host }) => `${machine(host)} ${host.dir}`)) {
    if (entry.host.address === first.host.address) continue;
    findings.push({
      code: 'SPEC_DIR_CLASH',
      at: ['hosts', entry.index, 'dir'],
      see: ['hosts', first.index, 'dir'],
      message: `${entry.host.name} and ${first.host.name} are on the same machine and share the directory ${entry.host.dir}`,
    });
  }
  for (const { host, index } of hosts) {
    if (/^node-?\d+$/.test(host.name)) {
      findings.push({
        code: 'SPEC_BAD_VALUE',
        at: ['hosts', index, 'name'],
        message: `${host.name} is a reserved node name`,
        remedy: `Use another name, such as h${index + 1}. Names such as node0 and node-0 are reserved for nodes.`,
      });
    }
  }
  return findings;
}

interface Listener {
  readonly host: HostSpec;
  readonly address: string;
  readonly port: number;
  /** Every machine has its own loopback; any other address exists once. */
  readonly machine: string;
  readonly what: string;
  readonly at: SpecPath;
  readonly restsOn: readonly SpecPath[];
}

const portsOfRoles: readonly { readonly role: Role; readonly key: keyof HostPorts; readonly what: string }[] =
  [
    { role: 'zookeeper', key: 'zookeeper', what: 'ZooKeeper' },
    { role: 'zookeeper', key: 'zookeeperPeer', what: "ZooKeeper's peer port" },
    { role: 'zookeeper', key: 'zookeeperElection', what: "ZooKeeper's election port" },
    { role: 'master', key: 'master', what: 'the Mesos master' },
    { role: 'agent', key: 'agent', what: 'the Mesos agent' },
    { role: 'proxy', key: 'proxy', what: 'the proxy' },
    { role: 'proxy', key: 'proxyApi', what: "the proxy's API" },
  ];

function hostListeners(host: HostSpec, index: number): Listener[] {
  const own = (address: string) => (isLoopback(address) ? machine(host) : '');
  const services = portsOfRoles
    .filter(({ role }) => host.roles.includes(role))
    .map(({ key, what }): Listener => {
      const address = key === 'proxyApi' ? proxyApiAddress(host) : host.address;
      return {
        host,
        address,
        port: host.ports[key],
        machine: own(address),
        what: `${what} on ${host.name}`,
        at: ['hosts', index, 'ports', key],
        restsOn: [
          ['hosts', index, 'address'],
          ['hosts', index, 'roles'],
        ],
      };
    });
  const sshd: Listener = {
    host,
    address: host.ssh.address,
    port: host.ssh.port,
    machine: own(host.ssh.address),
    what: `sshd on ${host.name}`,
    at: ['hosts', index, 'port'],
    restsOn: [
      ['hosts', index, 'sshAddress'],
      ['hosts', index, 'address'],
      ['ssh', 'port'],
    ],
  };
  return [sshd, ...services];
}

function nodePorts(
  spec: ClusterSpec,
): { readonly port: number; readonly what: string; readonly at: SpecPath }[] {
  return [
    { port: spec.etcd.clientPort, what: "etcd's client port", at: ['etcd', 'clientPort'] },
    { port: spec.etcd.peerPort, what: "etcd's peer port", at: ['etcd', 'peerPort'] },
    { port: spec.jupyter.port, what: 'Jupyter', at: ['jupyter', 'port'] },
    { port: spec.nodes.sshPort, what: 'sshd', at: ['nodes', 'sshPort'] },
    { port: spec.nodes.controlPort, what: 'the control API', at: ['nodes', 'controlPort'] },
  ];
}

/** No two services listen on the same address and port. */
function checkPorts(spec: ClusterSpec): Finding[] {
  const listeners = spec.hosts.flatMap(hostListeners);
  const clashes = duplicates(listeners, ({ machine, address, port }) => `${machine} ${address}:${port}`);
  const onHosts = clashes
    // A machine that is listed twice clashes on every port; only the duplicate is reported.
    .filter(({ entry, first }) => entry.host === first.host || !isListedTwice(entry.host, first.host))
    .map(({ entry, first }): Finding => ({
      code: 'SPEC_PORT_CLASH',
      at: entry.at,
      see: first.at,
      restsOn: [...entry.restsOn, ...first.restsOn],
      message: `${entry.what} and ${first.what} have the same address and port: ${entry.address}:${entry.port}`,
    }));
  const inNodes = duplicates(nodePorts(spec), ({ port }) => String(port)).map(
    ({ entry, first }): Finding => ({
      code: 'SPEC_PORT_CLASH',
      at: entry.at,
      see: first.at,
      message: `${entry.what} and ${first.what} on each node have the same port: ${entry.port}`,
    }),
  );
  return [...onHosts, ...inNodes];
}

function isListedTwice(a: HostSpec, b: HostSpec): boolean {
  return a.address === b.address || sshTarget(a) === sshTarget(b);
}

/** Every node has an address in the subnet that nothing else has. */
function checkNodeAddresses(spec: ClusterSpec): Finding[] {
  const { first, last, prefix } = parseSubnet(spec.network.subnet) ?? {
    first: 0,
    last: 2 ** 32 - 1,
    prefix: 0,
  };
  const at: SpecPath = ['nodes', 'firstAddress'];
  const restsOn: SpecPath[] = [
    ['network', 'subnet'],
    ['nodes', 'count'],
  ];
  const start = addressNumber(spec.nodes.firstAddress);
  const end = start + spec.nodes.count - 1;
  const nodes = `${nodeName(0)} to ${nodeName(spec.nodes.count - 1)}`;
  const whose = spec.nodes.count === 1 ? nodeName(0) : nodes;
  const range =
    spec.nodes.count === 1
      ? addressText(start)
      : `${addressText(start)} to ${addressText(Math.min(end, 2 ** 32 - 1))}`;
  const findings: Finding[] = [];
  if (start < first || end > last) {
    findings.push({
      code: 'SPEC_NODE_OUTSIDE_SUBNET',
      at,
      see: ['network', 'subnet'],
      restsOn,
      message: `${whose} would get ${range}, outside ${spec.network.subnet}`,
    });
  } else if (prefix < 31 && (start === first || end === last)) {
    const reserved =
      start === first
        ? `the network address ${addressText(first)}`
        : `the broadcast address ${addressText(last)}`;
    findings.push({
      code: 'SPEC_NODE_OUTSIDE_SUBNET',
      at,
      see: ['network', 'subnet'],
      restsOn,
      message: `${whose} would get ${range}, which includes ${reserved}`,
    });
  }
  if (end < 2 ** 32) {
    spec.hosts.forEach((host, index) => {
      const offset = addressNumber(host.address) - start;
      if (offset < 0 || offset >= spec.nodes.count) return;
      findings.push({
        code: 'SPEC_NODE_ADDRESS_TAKEN',
        at,
        see: ['hosts', index, 'address'],
        restsOn,
        message: `${nodeName(offset)} would get ${nodeAddress(spec, offset)}, the address of ${host.name}`,
      });
    });
  }
  return findings;
}

/** In a VXLAN, every host has an address that no node has, and another address to send its packets from. */
function checkVxlan(spec: ClusterSpec): Finding[] {
  const { network, hosts, nodes } = spec;
  if (network.kind !== 'vxlan') return [];
  const restsOn: SpecPath[] = [
    ['network', 'subnet'],
    ['nodes', 'count'],
    ['nodes', 'firstAddress'],
    ['hosts'],
  ];
  const { first, count: room } = bridgeRange(network.subnet);
  const from = Math.max(addressNumber(nodes.firstAddress), first);
  const to = Math.min(addressNumber(nodes.firstAddress) + nodes.count, first + room) - 1;
  const findings: Finding[] = hosts.flatMap((host, index): Finding[] =>
    isLoopback(host.address)
      ? [
          {
            code: 'SPEC_NETWORK',
            at: ['hosts', index, 'address'],
            see: ['network', 'vxlan'],
            message: `${host.name} has the loopback address ${host.address}, from which VXLAN packets cannot reach other hosts`,
            remedy: 'Set an address that the other hosts can reach.',
          },
        ]
      : [],
  );
  if (bridgeAddresses(spec).size < hosts.length) {
    findings.push({
      code: 'SPEC_NETWORK',
      at: ['network', 'subnet'],
      restsOn,
      message: `the upper quarter of ${network.subnet} has addresses for ${count(Math.max(room, 0), 'host')}, and there are ${hosts.length}`,
      remedy: 'Use a larger subnet.',
    });
  } else if (from <= to) {
    findings.push({
      code: 'SPEC_NODE_ADDRESS_TAKEN',
      at: ['nodes', 'firstAddress'],
      see: ['network', 'subnet'],
      restsOn,
      message: `nodes would get ${addressText(from)} to ${addressText(to)}, in the upper quarter of ${network.subnet}, which is reserved for hosts`,
    });
  }
  return findings;
}

/** Docker nodes need a Docker network or a VXLAN; process nodes use addresses of their hosts. */
function checkContainerizer(spec: ClusterSpec): Finding[] {
  const { containerizer } = spec.nodes;
  if ((containerizer === 'docker') !== (spec.network.kind === 'flat')) return [];
  return [
    containerizer === 'docker'
      ? {
          code: 'SPEC_NETWORK',
          at: ['nodes', 'containerizer'],
          see: ['network'],
          message: 'Docker nodes cannot have fixed addresses in a flat network',
          remedy: 'Set `network.existing` or `network.vxlan`, or use `nodes.containerizer: mesos`.',
        }
      : {
          code: 'SPEC_NETWORK',
          at: ['network', spec.network.kind],
          see: ['nodes', 'containerizer'],
          message: `process nodes (nodes.containerizer: mesos) cannot join ${spec.network.kind === 'vxlan' ? 'a VXLAN' : 'a Docker network'}`,
          remedy: `Remove \`network.${spec.network.kind}\`, or set \`nodes.containerizer: docker\`.`,
        },
  ];
}

/** Notebooks must not run as the user of etcd. */
function checkUser({ nodes }: ClusterSpec): Finding[] {
  const { user, containerizer } = nodes;
  if (user === undefined || user.uid === 0) return [];
  if (containerizer === 'docker') {
    return [
      {
        code: 'SPEC_BAD_VALUE',
        at: ['nodes', 'user'],
        see: ['nodes', 'containerizer'],
        message: 'nodes in containers run as root',
        remedy: 'Remove `nodes.user`, or use `nodes.containerizer: mesos`.',
      },
    ];
  }
  if (user.uid !== etcdUid) return [];
  return [
    {
      code: 'SPEC_BAD_VALUE',
      at: ['nodes', 'user', 'uid'],
      message: `${etcdUid} is the user of etcd`,
      remedy: `Use another user ID, such as ${etcdUid - 1}.`,
    },
  ];
}

/** A majority of two is both of them, so a volume needs three hosts to survive the loss of one. */
function checkGluster(spec: ClusterSpec): Finding[] {
  const { storage } = spec;
  if (storage.kind !== 'gluster') return [];
  const findings: Finding[] = [];
  const agents = hostsWithRole(spec, 'agent').length;
  if (agents !== 0 && agents < 3) {
    findings.push({
      code: 'SPEC_STORAGE',
      at: ['storage', 'gluster'],
      restsOn: rolePaths(spec),
      message: `a volume with three replicas needs three agent hosts, and there ${agents === 1 ? 'is 1' : `are ${agents}`}`,
    });
  }
  const { pingTimeoutMs } = storage;
  if (pingTimeoutMs % 1_000 !== 0 || pingTimeoutMs < 1_000 || pingTimeoutMs > 1_013_000) {
    findings.push({
      code: 'SPEC_TIMEOUT',
      at: ['storage', 'gluster', 'pingTimeout'],
      message: `GlusterFS accepts a ping timeout of 1 to 1013 whole seconds, not ${pingTimeoutMs} ms`,
    });
  }
  return findings;
}

/** With the best placement, no host holds a majority of etcd, unless the spec accepts that. */
function checkSpreading(spec: ClusterSpec): Finding[] {
  const agents = hostsWithRole(spec, 'agent').length;
  const { count: members, allowMajorityOnOneHost } = spec.nodes;
  if (agents === 0 || allowMajorityOnOneHost) return [];
  const fullest = Math.ceil(members / agents);
  if (fullest < majority(members)) return [];
  return [
    {
      code: 'SPEC_ETCD_MAJORITY_ON_ONE_HOST',
      at: ['nodes', 'count'],
      restsOn: [...rolePaths(spec), ['nodes', 'allowMajorityOnOneHost']],
      message: `with ${count(members, 'node')} on ${count(agents, 'agent host')}, one host holds ${fullest}, and the etcd majority is ${majority(members)}`,
    },
  ];
}

/** Timeouts are within what ZooKeeper, Mesos and etcd accept; memory suffices for the programs. */
function checkTimes(spec: ClusterSpec): Finding[] {
  const findings: Finding[] = [];
  const { tickTimeMs } = spec.zookeeper;
  const { sessionTimeoutMs } = spec.mesos;
  if (tickTimeMs < 100 || tickTimeMs > 60_000) {
    findings.push({
      code: 'SPEC_TIMEOUT',
      at: ['zookeeper', 'tickTime'],
      message: `invalid tick, not between 100 ms and 60 s: ${tickTimeMs} ms`,
    });
  } else if (sessionTimeoutMs < 2 * tickTimeMs || sessionTimeoutMs > 20 * tickTimeMs) {
    findings.push({
      code: 'SPEC_TIMEOUT',
      at: ['mesos', 'sessionTimeout'],
      see: ['zookeeper', 'tickTime'],
      restsOn: [['zookeeper', 'tickTime']],
      message: `ZooKeeper accepts a session timeout of 2 to 20 ticks (${2 * tickTimeMs} to ${20 * tickTimeMs} ms), not ${sessionTimeoutMs} ms`,
    });
  }
  const { agentPingTimeoutMs } = spec.mesos;
  if (agentPingTimeoutMs < 1_000 || agentPingTimeoutMs > 900_000) {
    findings.push({
      code: 'SPEC_TIMEOUT',
      at: ['mesos', 'agentPingTimeout'],
      message: `Mesos masters accept a ping timeout of 1 s to 15 min, not ${agentPingTimeoutMs} ms`,
    });
  } else if (agentPatienceMs(spec.mesos) <= sessionTimeoutMs) {
    findings.push({
      code: 'SPEC_TIMEOUT',
      at: ['mesos', 'agentPingTimeout'],
      see: ['mesos', 'sessionTimeout'],
      restsOn: [
        ['mesos', 'sessionTimeout'],
        ['mesos', 'maxAgentPingTimeouts'],
      ],
      message: `a master would declare agents unreachable after ${agentPatienceMs(spec.mesos)} ms, before they can detect a new leader, which takes ${sessionTimeoutMs} ms`,
    });
  }
  const { heartbeatMs, electionMs } = spec.etcd;
  if (heartbeatMs < 1) {
    findings.push({
      code: 'SPEC_TIMEOUT',
      at: ['etcd', 'heartbeat'],
      message: 'etcd requires a heartbeat of at least 1 ms',
    });
  } else if (electionMs < 5 * heartbeatMs || electionMs > 50_000) {
    findings.push({
      code: 'SPEC_TIMEOUT',
      at: ['etcd', 'election'],
      see: ['etcd', 'heartbeat'],
      restsOn: [['etcd', 'heartbeat']],
      message: `etcd accepts an election timeout of 5 heartbeats (${5 * heartbeatMs} ms) to 50 s, not ${electionMs} ms`,
    });
  }
  const minimum = 16 * 2 ** 20;
  if (spec.nodes.memoryBytes < minimum) {
    findings.push({
      code: 'SPEC_BAD_VALUE',
      at: ['nodes', 'memory'],
      message: 'etcd alone needs at least 16 MiB on a node',
      remedy:
        'Increase it, or remove the key to use 512MiB. On the leader, Jupyter needs about 100 MiB more.',
    });
  }
  if (spec.zookeeper.heapBytes < minimum) {
    findings.push({
      code: 'SPEC_BAD_VALUE',
      at: ['zookeeper', 'heap'],
      message: 'a ZooKeeper server needs a heap of at least 16 MiB',
    });
  }
  return findings;
}

/** Exactly one of the keys is set. */
function checkOneOf(section: object, keys: readonly string[], at: SpecPath): Finding[] {
  const given = keys.filter((key) => (section as Record<string, unknown>)[key] !== undefined);
  if (given.length === 1) return [];
  const restsOn = keys.map((key) => [...at, key]);
  const list = keys.join(', ');
  return [
    given.length === 0
      ? {
          code: 'SPEC_MISSING_KEY',
          at,
          restsOn,
          message: `${at.join('.')} has none of the keys ${list}`,
          remedy: `Add one of ${list}.`,
        }
      : {
          code: 'SPEC_ONE_OF',
          at: [...at, given[1] ?? ''],
          restsOn,
          message: `${at.join('.')}: ${given.join(' and ')} are mutually exclusive`,
          remedy: 'Keep only one of them.',
        },
  ];
}

function checkTarball(install: object, at: SpecPath): Finding[] {
  const { tarball, sha256 } = install as { tarball?: unknown; sha256?: unknown };
  if ((tarball === undefined) === (sha256 === undefined)) return [];
  return [
    tarball === undefined
      ? {
          code: 'SPEC_ONE_OF',
          at: [...at, 'sha256'],
          restsOn: [[...at, 'tarball']],
          message: `${at.join('.')}.sha256 requires a tarball`,
          remedy: 'Add `tarball`, or remove `sha256`.',
        }
      : {
          code: 'SPEC_MISSING_KEY',
          at: [...at, 'tarball'],
          restsOn: [[...at, 'sha256']],
          message: `${at.join('.')}.tarball requires a sha256`,
          remedy: 'Add the SHA-256 of the archive as `sha256`. The download is verified against it.',
        },
  ];
}

/** `version` belongs to a package, `apt` to a package with a version. */
function checkApt(install: Exclude<ClusterFile['mesos']['install'], 'lab'>): Finding[] {
  const at = ['mesos', 'install'];
  const needs = (key: string, other: string): Finding => ({
    code: 'SPEC_MISSING_KEY',
    at: [...at, key],
    restsOn: [[...at, other]],
    message: `mesos.install.${key} requires a ${other}`,
    remedy: `Add \`${other}\`, or remove \`${key}\`.`,
  });
  const { apt, version } = install;
  return [
    ...(version !== undefined && install.package === undefined ? [needs('version', 'package')] : []),
    ...(apt !== undefined && install.package === undefined ? [needs('apt', 'package')] : []),
    ...(apt !== undefined && version === undefined ? [needs('apt', 'version')] : []),
    ...(apt === undefined ? [] : checkOneOf(apt, ['key', 'keyUrl'], [...at, 'apt'])),
  ];
}

function checkChoices(file: ClusterFile): Finding[] {
  const findings = [
    ...checkOneOf(file.zookeeper.install, ['package', 'path', 'tarball'], ['zookeeper', 'install']),
    ...checkTarball(file.zookeeper.install, ['zookeeper', 'install']),
    ...checkOneOf(file.storage, ['path', 'gluster'], ['storage']),
  ];
  if (file.mesos.install !== 'lab') {
    findings.push(
      ...checkOneOf(file.mesos.install, ['package', 'path', 'tarball', 'image'], ['mesos', 'install']),
      ...checkTarball(file.mesos.install, ['mesos', 'install']),
      ...checkApt(file.mesos.install),
    );
  }
  if (file.network.existing !== undefined && file.network.vxlan !== undefined) {
    findings.push({
      code: 'SPEC_ONE_OF',
      at: ['network', 'vxlan'],
      see: ['network', 'existing'],
      message: 'network: existing and vxlan are mutually exclusive',
      remedy: 'Keep only one of them, or neither for a flat network.',
    });
  }
  if (file.mesos.security === 'open' && file.mesos.principal !== undefined) {
    findings.push({
      code: 'SPEC_ONE_OF',
      at: ['mesos', 'principal'],
      see: ['mesos', 'security'],
      message: 'mesos: a principal has no effect where security is open',
      remedy: 'Remove `mesos.security: open` to protect Mesos, or remove `mesos.principal`.',
    });
  }
  return [...findings, ...checkMasterFlags(file)];
}

/** Flags whose value Perijove must know, under all their names, with the key of `mesos` that sets each. */
const keysOfFlags: Readonly<Record<string, string>> = {
  agent_ping_timeout: 'agentPingTimeout',
  slave_ping_timeout: 'agentPingTimeout',
  max_agent_ping_timeouts: 'maxAgentPingTimeouts',
  max_slave_ping_timeouts: 'maxAgentPingTimeouts',
};

function checkMasterFlags({ mesos }: ClusterFile): Finding[] {
  return Object.keys(mesos.master.flags).flatMap((flag): Finding[] => {
    const key = keysOfFlags[flag];
    if (key === undefined) return [];
    return [
      {
        code: 'SPEC_BAD_VALUE',
        at: ['mesos', 'master', 'flags', flag],
        message: `--${flag} must be set by mesos.${key}, because the scheduler uses it too`,
        remedy: `Set \`mesos.${key}\` instead.`,
      },
    ];
  });
}

/** `sun_path` of Linux (unix(7)), without the NUL at its end. */
const longestSocketPath = 107;

/** A node's Jupyter listens on a Unix socket in the node's tree (`nodeLayout`). */
function checkDirectories(spec: ClusterSpec): Finding[] {
  if (spec.nodes.containerizer === 'docker') return [];
  const below = `/data/nodes/${nodeName(spec.nodes.count - 1)}/run/jupyter/sock`;
  return spec.hosts.flatMap((host, index): Finding[] => {
    const longest = longestSocketPath - below.length;
    const { length } = new TextEncoder().encode(host.dir);
    if (!host.roles.includes('agent') || length <= longest) return [];
    return [
      {
        code: 'SPEC_BAD_VALUE',
        at: ['hosts', index, 'dir'],
        restsOn: [['ssh', 'dir']],
        message: `hosts[${index}].dir is ${length} bytes long, too long for the paths of Unix sockets below it`,
        remedy: `Use a directory of at most ${longest} bytes.`,
      },
    ];
  });
}

/** `down` unmounts everything below a host's directory, and `down --purge` deletes everything in it. */
function checkStoragePlace({ hosts, storage }: ClusterSpec): Finding[] {
  const places: readonly (readonly [string[], string])[] =
    storage.kind === 'path'
      ? [[['storage', 'path'], storage.path]]
      : [
          [['storage', 'gluster', 'mount'], storage.mount],
          [['storage', 'gluster', 'brick'], storage.brick],
        ];
  return places.flatMap(([at, place]): Finding[] => {
    const host = hosts.find(({ dir, roles }) => roles.includes('agent') && `${place}/`.startsWith(`${dir}/`));
    if (host === undefined) return [];
    return [
      {
        code: 'SPEC_BAD_VALUE',
        at,
        message: `${at.join('.')} is inside ${host.dir}, which \`perijove down --purge\` deletes on ${host.name}`,
        remedy: `Use a directory outside it, such as /srv${at.at(-1) === 'brick' ? '/brick' : '/notebooks'}.`,
      },
    ];
  });
}

/** A shorter limit refuses every host; during a longer one, an activity that waits has ended more than once. */
function checkLoginTimes({ ssh, hosts }: ClusterFile): Finding[] {
  const entries: readonly (readonly [SpecPath, string | undefined])[] = [
    [['ssh'], ssh.loginTimeout],
    [['ssh', 'jump'], ssh.jump?.loginTimeout],
    ...hosts.flatMap((host, index): [SpecPath, string | undefined][] => [
      [['hosts', index], host.loginTimeout],
      [['hosts', index, 'jump'], host.jump?.loginTimeout],
    ]),
  ];
  return entries.flatMap(([place, text]): Finding[] => {
    if (text === undefined || (durationMs(text) >= 1_000 && durationMs(text) <= 300_000)) return [];
    return [
      {
        code: 'SPEC_BAD_VALUE',
        at: [...place, 'loginTimeout'],
        message: `a login cannot be limited to ${text}`,
        remedy: 'Use a duration from 1s to 5m, such as 1m.',
      },
    ];
  });
}

/** All findings for a file in which the format of each value is valid. */
export function check(file: ClusterFile, spec: ClusterSpec): Finding[] {
  return [...checkChoices(file), ...checkLoginTimes(file), ...checkSpec(spec)];
}

/** The findings that need no file: what the values of a spec mean together. */
export function checkSpec(spec: ClusterSpec): Finding[] {
  return [
    ...checkRoles(spec),
    ...checkHosts(spec),
    ...checkPorts(spec),
    ...checkNodeAddresses(spec),
    ...checkContainerizer(spec),
    ...checkUser(spec),
    ...checkVxlan(spec),
    ...checkGluster(spec),
    ...checkSpreading(spec),
    ...checkDirectories(spec),
    ...checkStoragePlace(spec),
    ...checkTimes(spec),
  ];
}
