/**
 * The cluster as every part of Perijove reads it: validated plain JSON with all defaults filled in and units
 * in the names. `load.ts` creates it from `cluster.yaml`; `docs/reference/spec.md` describes the file.
 */
export interface ClusterSpec {
  readonly name: string;
  /** The cluster's ID, only in what activities are given; never part of a stored spec. */
  readonly id?: string;
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
  /** Absolute path of a private key on the worker's machine; absent if an agent is used. */
  readonly keyFile?: string;
  /** Use the agent at SSH_AUTH_SOCK. */
  readonly agent: boolean;
  /** Path of a known_hosts file on the worker's machine; it overrides `hostKeys`. */
  readonly knownHostsFile?: string;
  /** The public keys that it may present, each `TYPE BASE64`; absent: its key is pinned on first contact. */
  readonly hostKeys?: readonly string[];
  /** Time limit for the login, after TCP has connected; absent: 30 s. */
  readonly loginTimeoutMs?: number;
  /** Key files of ssh_config, absolute. Those that do not exist are skipped. */
  readonly identityFiles?: readonly string[];
  /** Certificates of ssh_config besides `KEY-cert.pub`, absolute. */
  readonly certificateFiles?: readonly string[];
  /** Offer no key of the agent that no file names. */
  readonly identitiesOnly?: boolean;
  /** Socket of the agent in place of SSH_AUTH_SOCK. */
  readonly agentSocket?: string;
  /** Name of the host in `knownHostsFile`, and in host certificates. */
  readonly hostKeyAlias?: string;
}

export interface HostSpec {
  readonly name: string;
  readonly ssh: SshTarget;
  readonly jump?: SshTarget;
  readonly become: 'none' | 'sudo';
  /** Address that services bind and that other hosts connect to. `ssh.address` defaults to it. */
  readonly address: string;
  /** Host name that Mesos shows (`--hostname`); the address by default. */
  readonly hostname: string;
  /** Base directory, absolute: everything that Perijove puts on the host is below it. */
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
  | {
      readonly kind: 'package';
      readonly package: string;
      /** Installed in exactly this version, and held. */
      readonly version?: string;
      /** Where the package comes from; absent: the sources that the host has. */
      readonly apt?: AptSource;
    }
  | { readonly kind: 'tarball'; readonly url: string; readonly sha256: string }
  | { readonly kind: 'image'; readonly image: string };

/** A package source of apt: sources.list(5), and the one key that may sign it. */
export interface AptSource {
  readonly source: string;
  readonly suite: string;
  readonly component: string;
  /** The key itself, ASCII-armored; otherwise `keyUrl` is set. */
  readonly key?: string;
  readonly keyUrl?: string;
  /** Of the primary key: 40 (or, of a version 6 key, 64) upper-case hexadecimal digits. */
  readonly fingerprint: string;
}

export interface ZooKeeperSpec {
  /** Never `lab` or `image`. */
  readonly install: Install;
  readonly tickTimeMs: number;
  readonly initLimitTicks: number;
  readonly syncLimitTicks: number;
  readonly heapBytes: number;
  /** Protect the znodes of Mesos with a digest ACL. */
  readonly digest: boolean;
  /**
   * Observed on the hosts, and never part of a stored spec: the numbers of the servers by host, and the members that
   * each `zoo.cfg` names. Absent: numbers by the order of the hosts, and the hosts with the role.
   */
  readonly numbers?: Readonly<Record<string, number>>;
  readonly servers?: readonly {
    readonly id: number;
    readonly address: string;
    readonly peerPort: number;
    readonly electionPort: number;
  }[];
}

/** The principal of a framework whose spec names none. */
export const defaultPrincipal = 'perijove';

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
  /** `--agent_ping_timeout` and `--max_agent_ping_timeouts` of the masters; multiplied: `agentPatienceMs`. */
  readonly agentPingTimeoutMs: number;
  readonly maxAgentPingTimeouts: number;
  /** Name of the framework. */
  readonly framework: string;
  /** Masters and agents require it and its secret; absent: they are open. */
  readonly principal?: string;
  readonly role: string;
  readonly failoverTimeoutMs: number;
  /** How long a host must be silent before it is declared dead; absent: silence proves nothing. */
  readonly fenceAfterMs?: number;
  /** Extra flags, without dashes; they override those that Perijove sets. */
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

export type StorageSpec = {
  /** Existing notebooks are given to the user of the nodes. */
  readonly takeOwnership?: boolean;
} &
  /** A directory that all hosts share: a mount, or a directory of the one machine that they run on. */
  (
    | { readonly kind: 'path'; readonly path: string }
    | {
        readonly kind: 'gluster';
        readonly volume: string;
        readonly brick: string;
        readonly mount: string;
        readonly pingTimeoutMs: number;
        /** Accept bricks on the root file system. */
        readonly force?: boolean;
      }
  );

/** Numbers, because the same files are seen from hosts and containers with different accounts. */
export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

/** The user and group of etcd beside a `nodes.user`: in a range that neither Debian nor systemd assigns, 60706 to 61183. */
export const etcdUid = 60_802;

export interface NodesSpec {
  readonly count: number;
  readonly cpus: number;
  readonly memoryBytes: number;
  /** Address of node0; node N has this address plus N. */
  readonly firstAddress: string;
  readonly containerizer: 'docker' | 'mesos';
  readonly image: string;
  /** Who runs Jupyter and what it starts; absent or uid 0: root. */
  readonly user?: UserIds;
  readonly sshPort: number;
  /** The API of `perijove-node`, on the address of the node. */
  readonly controlPort: number;
  readonly allowMajorityOnOneHost: boolean;
}

/**
 * `authenticated`: members and clients with a certificate of the cluster, over TLS. `open`: everyone, without TLS.
 * `transition`, on the way from one to the other: everyone without TLS, but members reach others that demand it.
 */
export type EtcdSecurity = 'authenticated' | 'transition' | 'open';

export interface EtcdSpec {
  readonly token: string;
  /** `etcdSecurity` of the spec: earlier releases stored none. */
  readonly security?: EtcdSecurity;
  readonly heartbeatMs: number;
  readonly electionMs: number;
  readonly clientPort: number;
  readonly peerPort: number;
  /** Program on the host (or in the image): a name on PATH or an absolute path. */
  readonly executable: string;
}

export interface JupyterSpec {
  readonly port: number;
  /** `warm`: Jupyter runs on every node, one of which has an open gate; `cold`: it runs on one node only. */
  readonly standby: 'warm' | 'cold';
  /** `leader`: Jupyter moves with etcd leadership; `sticky`: leadership is moved back to Jupyter. */
  readonly follow: 'leader' | 'sticky';
  /** Nodes and proxies fail over automatically; see `gateRule` for when they can. */
  readonly reflexes: boolean;
  /** Absent in specs that earlier releases stored: `leader`. */
  readonly kernels?: { readonly placement: KernelPlacement };
  /** `jupyter-lab`: a name on PATH or an absolute path. */
  readonly executable: string;
}

/** `spread`: where the fewest kernels run; `leader`: on the serving node. */
export type KernelPlacement = 'spread' | 'leader';

/** Where new kernels start. A cold Jupyter is the only one that runs. */
export function kernelPlacement({ jupyter }: Pick<ClusterSpec, 'jupyter'>): KernelPlacement {
  return jupyter.standby === 'warm' ? (jupyter.kernels?.placement ?? 'leader') : 'leader';
}

export interface ProxySpec {
  readonly topology: 'direct' | 'owner' | 'chain';
  /** How long open connections to a live node that no longer serves may continue. */
  readonly drainMs: number;
  /** Absent: plain HTTP. */
  readonly tls?: ProxyTls;
}

/** HTTPS for people. */
export type ProxyTls = ProxyTlsFiles | ProxyTlsCluster;

/** By a certificate of theirs. The files are read on the machines of the workers, and of `check` and `plan`. */
export interface ProxyTlsFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  /** How long browsers remember to use HTTPS only. */
  readonly hstsMs?: number;
}

/** By a certificate that an authority of the cluster issues for the hosts. */
export interface ProxyTlsCluster {
  readonly issuer: 'cluster';
}

/** The files of people's own certificate; undefined with another one, or over plain HTTP. */
export function tlsFiles({ proxy: { tls } }: Pick<ClusterSpec, 'proxy'>): ProxyTlsFiles | undefined {
  return tls === undefined || 'issuer' in tls ? undefined : tls;
}

/**
 * What makes a node open its gate: `reflex`, proof from its own etcd member, or `word`, only an order of the
 * keeper. A cold Jupyter must be started first, and a sticky one may be on another node than the leader: both
 * need the keeper.
 */
export type GateRule = 'reflex' | 'word';

export function gateRule({ jupyter }: Pick<ClusterSpec, 'jupyter'>): GateRule {
  const { standby, follow, reflexes } = jupyter;
  return standby === 'warm' && follow === 'leader' && reflexes ? 'reflex' : 'word';
}

/** Who may use etcd. */
export function etcdSecurity({ etcd }: Pick<ClusterSpec, 'etcd'>): EtcdSecurity {
  return etcd.security ?? 'open';
}

/** `node3` for index 3: the name of the node, of its Mesos task and of its etcd member. */
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

/** Replicas of a GlusterFS volume: three, so that a majority survives the loss of any host. */
export const brickReplicas = 3;

/** The hosts with bricks of a GlusterFS volume: the first three agent hosts. */
export function brickHosts(spec: ClusterSpec): readonly HostSpec[] {
  return hostsWithRole(spec, 'agent').slice(0, brickReplicas);
}

export function majority(count: number): number {
  return Math.floor(count / 2) + 1;
}

/** How long an agent must be silent before the master marks its tasks as unreachable. */
export function agentPatienceMs({
  agentPingTimeoutMs,
  maxAgentPingTimeouts,
}: Pick<MesosSpec, 'agentPingTimeoutMs' | 'maxAgentPingTimeouts'>): number {
  return agentPingTimeoutMs * maxAgentPingTimeouts;
}

/** Names of the variables that the spec adds to tasks' environment; none if an agent would refuse the flag. */
export function taskVariables({ mesos }: Pick<ClusterSpec, 'mesos'>): readonly string[] {
  try {
    const variables: unknown = JSON.parse(mesos.agentFlags['executor_environment_variables'] ?? '{}');
    return typeof variables === 'object' && variables !== null ? Object.keys(variables).sort() : [];
  } catch {
    return [];
  }
}

/** `10.0.0.1:2181,10.0.0.2:2181`: the connection string of ZooKeeper clients. */
export function zookeeperConnect(spec: ClusterSpec): string {
  return hostsWithRole(spec, 'zookeeper')
    .map((host) => `${host.address}:${host.ports.zookeeper}`)
    .join(',');
}

/** The directory that all nodes share, as a path on each agent host. */
export function sharedDirectory({ storage }: Pick<ClusterSpec, 'storage'>): string {
  return storage.kind === 'path' ? storage.path : storage.mount;
}

/** The root of the notebooks. */
export function notebooksDirectory(spec: Pick<ClusterSpec, 'storage'>): string {
  return `${sharedDirectory(spec)}/notebooks`;
}

/** Where people reach Jupyter through a host with a proxy, without a trailing slash. */
export function proxyUrl(
  { proxy }: Pick<ClusterSpec, 'proxy'>,
  { address, ports }: HostSpec,
  name = address,
): string {
  return `${proxy.tls === undefined ? 'http' : 'https'}://${name}:${ports.proxy}`;
}

/** The address of the proxy's API: 127.0.0.1, or the address of the host if that is loopback too. */
export function proxyApiAddress(host: HostSpec): string {
  return host.address.startsWith('127.') ? host.address : '127.0.0.1';
}
