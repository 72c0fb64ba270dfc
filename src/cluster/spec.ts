/**
 * The cluster as every part of Perijove reads it: checked, with all defaults filled in, in plain JSON, with
 * units in the names. `load.ts` makes it from `cluster.yaml`; `docs/reference/spec.md` describes the file.
 */
export interface ClusterSpec {
  readonly name: string;
  readonly hosts: readonly HostSpec[];
  readonly zookeeper: ZooKeeperSpec;
  readonly mesos: MesosSpec;
  readonly network: NetworkSpec;
  readonly storage: StorageSpec;
  readonly nodes: NodesSpec;
  readonly etcd: EtcdSpec;
  readonly jupyter: JupyterSpec;
  readonly proxy: ProxySpec;
}

export type Role = 'zookeeper' | 'master' | 'agent' | 'proxy';

/** How a host (or a jump host) is reached by SSH. */
export interface SshTarget {
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** Path of a private key on the machine of the worker, absolute; absent when an agent is used. */
  readonly keyFile?: string;
  /** Use the agent at SSH_AUTH_SOCK. */
  readonly agent: boolean;
  /** Path of a known_hosts file on the machine of the worker; absent: keys are pinned on first contact. */
  readonly knownHostsFile?: string;
}

export interface HostSpec {
  readonly name: string;
  readonly ssh: SshTarget;
  readonly jump?: SshTarget;
  readonly become: 'none' | 'sudo';
  /** Address that services of the cluster bind and are reached at. The same as `ssh.address` by default. */
  readonly address: string;
  /** What Mesos shows as the host's name (`--hostname`); the address by default. */
  readonly hostname: string;
  /** Base directory, absolute: everything that Perijove puts on the host lies below it. */
  readonly dir: string;
  readonly init: 'auto' | 'systemd' | 'runit';
  readonly roles: readonly Role[];
  readonly ports: HostPorts;
}

export interface HostPorts {
  readonly zookeeper: number;
  readonly zookeeperPeer: number;
  readonly zookeeperElection: number;
  readonly master: number;
  readonly agent: number;
  /** Where users reach Jupyter. */
  readonly proxy: number;
  /** The proxy's API, on loopback. */
  readonly proxyApi: number;
}

export type Install =
  | { readonly kind: 'lab' }
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'package'; readonly package: string }
  | { readonly kind: 'tarball'; readonly url: string; readonly sha256: string }
  | { readonly kind: 'image'; readonly image: string };

export interface ZooKeeperSpec {
  /** Never `lab` or `image`. */
  readonly install: Install;
  readonly tickTimeMs: number;
  readonly initLimitTicks: number;
  readonly syncLimitTicks: number;
  readonly heapBytes: number;
  /** Protect the znodes of Mesos with a digest ACL. */
  readonly digest: boolean;
}

export interface MesosSpec {
  readonly install: Install;
  /** `--cluster` */
  readonly cluster: string;
  /** `--quorum` */
  readonly quorum: number;
  /** Path in ZooKeeper, with its leading slash. */
  readonly zkPath: string;
  /** `--zk_session_timeout` of the masters; agents have no such flag. */
  readonly sessionTimeoutMs: number;
  /** `--agent_ping_timeout` and `--max_agent_ping_timeouts` of masters; together `agentPatienceMs`. */
  readonly agentPingTimeoutMs: number;
  readonly maxAgentPingTimeouts: number;
  /** Name of the framework. */
  readonly framework: string;
  readonly principal?: string;
  readonly role: string;
  readonly failoverTimeoutMs: number;
  /** So long a host must be silent before its nodes are taken for dead; absent: silence proves nothing. */
  readonly fenceAfterMs?: number;
  /** Flags to add, without dashes; they win over Perijove's own. */
  readonly masterFlags: Readonly<Record<string, string>>;
  readonly agentFlags: Readonly<Record<string, string>>;
}

export type NetworkSpec =
  | { readonly kind: 'flat'; readonly subnet: string }
  | { readonly kind: 'existing'; readonly name: string; readonly subnet: string }
  | {
      readonly kind: 'vxlan';
      readonly name: string;
      readonly subnet: string;
      readonly vni: number;
      readonly mtu: number;
    };

export type StorageSpec =
  /** An existing directory, the same on every host: a shared mount, or one machine's own. */
  | { readonly kind: 'path'; readonly path: string }
  | {
      readonly kind: 'gluster';
      readonly volume: string;
      readonly brick: string;
      readonly mount: string;
      readonly pingTimeoutMs: number;
      /** Accept bricks on the root file system. */
      readonly force?: boolean;
    };

export interface NodesSpec {
  readonly count: number;
  readonly cpus: number;
  readonly memoryBytes: number;
  /** Address of node0; node N has this address plus N. */
  readonly firstAddress: string;
  readonly containerizer: 'docker' | 'mesos';
  readonly image: string;
  readonly sshPort: number;
  /** The API of `perijove-node`, on the node's own address. */
  readonly controlPort: number;
  readonly allowMajorityOnOneHost: boolean;
}

export interface EtcdSpec {
  readonly token: string;
  readonly heartbeatMs: number;
  readonly electionMs: number;
  readonly clientPort: number;
  readonly peerPort: number;
  /** Program on the host (or in the image): a name on PATH or an absolute path. */
  readonly executable: string;
}

export interface JupyterSpec {
  readonly port: number;
  /** `warm`: a started Jupyter on every node, and a gate that is open on one; `cold`: it runs on one alone. */
  readonly standby: 'warm' | 'cold';
  /** `leader`: Jupyter moves with leadership; `sticky`: leadership is moved back to where Jupyter is. */
  readonly follow: 'leader' | 'sticky';
  /** Nodes and proxies fail over by themselves; see `gateRule` for when they can. */
  readonly reflexes: boolean;
  /** `jupyter-lab`: a name on PATH or an absolute path. */
  readonly executable: string;
}

export interface ProxySpec {
  readonly topology: 'direct' | 'owner' | 'chain';
  /** How long open connections to a node that lives and serves no longer may go on. */
  readonly drainMs: number;
}

/**
 * By what a node opens its gate: `reflex`, by what its own etcd member can prove, or `word`, by the keeper's
 * order alone. A cold Jupyter must be started first, and a sticky one stays where leadership may not be: both
 * need the keeper.
 */
export type GateRule = 'reflex' | 'word';

export function gateRule({ jupyter }: Pick<ClusterSpec, 'jupyter'>): GateRule {
  const { standby, follow, reflexes } = jupyter;
  return standby === 'warm' && follow === 'leader' && reflexes ? 'reflex' : 'word';
}

/** `node3` of node index 3: name of the Mesos task, the etcd member and the node. */
export function nodeName(index: number): string {
  return `node${index}`;
}

export function nodeNames(spec: ClusterSpec): string[] {
  return Array.from({ length: spec.nodes.count }, (_, index) => nodeName(index));
}

/** The IPv4 address `offset` above `address`. */
export function addressPlus(address: string, offset: number): string {
  const value = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0) + offset;
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

export function nodeAddress(spec: ClusterSpec, index: number): string {
  return addressPlus(spec.nodes.firstAddress, index);
}

export function hostsWithRole(spec: ClusterSpec, role: Role): HostSpec[] {
  return spec.hosts.filter((host) => host.roles.includes(role));
}

/** Of a GlusterFS volume: three, so that a majority decides what is written, and any one host may be lost. */
export const brickReplicas = 3;

/** The hosts with bricks of a GlusterFS volume: the first three with nodes. */
export function brickHosts(spec: ClusterSpec): readonly HostSpec[] {
  return hostsWithRole(spec, 'agent').slice(0, brickReplicas);
}

export function majority(count: number): number {
  return Math.floor(count / 2) + 1;
}

/** How long a master misses an agent before it calls its tasks unreachable. */
export function agentPatienceMs({
  agentPingTimeoutMs,
  maxAgentPingTimeouts,
}: Pick<MesosSpec, 'agentPingTimeoutMs' | 'maxAgentPingTimeouts'>): number {
  return agentPingTimeoutMs * maxAgentPingTimeouts;
}

/** `10.0.0.1:2181,10.0.0.2:2181`, as ZooKeeper clients take it. */
export function zookeeperConnect(spec: ClusterSpec): string {
  return hostsWithRole(spec, 'zookeeper')
    .map((host) => `${host.address}:${host.ports.zookeeper}`)
    .join(',');
}

/** The directory that all nodes share, on each agent host. */
export function sharedDirectory({ storage }: Pick<ClusterSpec, 'storage'>): string {
  return storage.kind === 'path' ? storage.path : storage.mount;
}

/** Where the API of the host's proxy listens: 127.0.0.1, or the host's own address when that is loopback too. */
export function proxyApiAddress(host: HostSpec): string {
  return host.address.startsWith('127.') ? host.address : '127.0.0.1';
}
