/** What a `ClusterSpec` must have that did not come through `load.ts`, such as one in the input of a workflow. */
import {
  byKind,
  flag,
  list,
  map,
  number,
  object,
  oneOf,
  optional,
  text,
  whole,
  type Expectation,
  type KeysOf,
} from './flaws.js';
import type {
  ClusterSpec,
  AptSource,
  EtcdSpec,
  HostPorts,
  HostSpec,
  Install,
  JupyterSpec,
  MesosSpec,
  NetworkSpec,
  NodesSpec,
  ProxySpec,
  SshTarget,
  StorageSpec,
  UserIds,
  ZooKeeperSpec,
} from './spec.js';

type OfKind<T extends { readonly kind: string }, K extends T['kind']> = Extract<T, { readonly kind: K }>;

const target = object<SshTarget>({
  address: text,
  port: whole,
  user: text,
  keyFile: optional(text),
  agent: flag,
  knownHostsFile: optional(text),
  hostKeys: optional(list(text, 1)),
  loginTimeoutMs: optional(number),
  identityFiles: optional(list(text)),
  certificateFiles: optional(list(text)),
  identitiesOnly: optional(flag),
  agentSocket: optional(text),
  hostKeyAlias: optional(text),
});

const ports: KeysOf<HostPorts> = {
  zookeeper: whole,
  zookeeperPeer: whole,
  zookeeperElection: whole,
  master: whole,
  agent: whole,
  proxy: whole,
  proxyApi: whole,
};

const host = object<HostSpec>({
  name: text,
  ssh: target,
  jump: optional(target),
  become: oneOf('none', 'sudo'),
  address: text,
  hostname: text,
  dir: text,
  init: oneOf('auto', 'systemd', 'runit'),
  // A host that leaves the cluster has none.
  roles: list(oneOf('zookeeper', 'master', 'agent', 'proxy')),
  ports: object<HostPorts>(ports),
});

const install = byKind({
  lab: object<OfKind<Install, 'lab'>>({ kind: text }),
  path: object<OfKind<Install, 'path'>>({ kind: text, path: text }),
  package: object<OfKind<Install, 'package'>>({
    kind: text,
    package: text,
    version: optional(text),
    apt: optional(
      object<AptSource>({
        source: text,
        suite: text,
        component: text,
        key: optional(text),
        keyUrl: optional(text),
        fingerprint: text,
      }),
    ),
  }),
  tarball: object<OfKind<Install, 'tarball'>>({ kind: text, url: text, sha256: text }),
  image: object<OfKind<Install, 'image'>>({ kind: text, image: text }),
} satisfies Record<Install['kind'], Expectation>);

const zookeeper = object<Omit<ZooKeeperSpec, 'numbers' | 'servers'>>({
  install,
  tickTimeMs: number,
  initLimitTicks: whole,
  syncLimitTicks: whole,
  heapBytes: number,
  digest: flag,
});

const mesos = object<MesosSpec>({
  install,
  cluster: text,
  quorum: whole,
  zkPath: text,
  sessionTimeoutMs: number,
  agentPingTimeoutMs: number,
  maxAgentPingTimeouts: whole,
  framework: text,
  principal: optional(text),
  role: text,
  failoverTimeoutMs: number,
  fenceAfterMs: optional(number),
  masterFlags: map(text),
  agentFlags: map(text),
});

const network = byKind({
  flat: object<OfKind<NetworkSpec, 'flat'>>({ kind: text, subnet: text }),
  existing: object<OfKind<NetworkSpec, 'existing'>>({ kind: text, name: text, subnet: text }),
  vxlan: object<OfKind<NetworkSpec, 'vxlan'>>({
    kind: text,
    name: text,
    subnet: text,
    vni: whole,
    mtu: whole,
  }),
} satisfies Record<NetworkSpec['kind'], Expectation>);

const storage = byKind({
  path: object<OfKind<StorageSpec, 'path'>>({ kind: text, path: text, takeOwnership: optional(flag) }),
  gluster: object<OfKind<StorageSpec, 'gluster'>>({
    kind: text,
    volume: text,
    brick: text,
    mount: text,
    pingTimeoutMs: number,
    force: optional(flag),
    takeOwnership: optional(flag),
  }),
} satisfies Record<StorageSpec['kind'], Expectation>);

const nodes = object<NodesSpec>({
  count: whole,
  cpus: number,
  memoryBytes: number,
  firstAddress: text,
  containerizer: oneOf('docker', 'mesos'),
  image: text,
  user: optional(object<UserIds>({ uid: whole, gid: whole })),
  sshPort: whole,
  controlPort: whole,
  allowMajorityOnOneHost: flag,
});

const etcd = object<EtcdSpec>({
  token: text,
  security: optional(oneOf('authenticated', 'transition', 'open')),
  heartbeatMs: number,
  electionMs: number,
  clientPort: whole,
  peerPort: whole,
  executable: text,
});

const jupyter = object<JupyterSpec>({
  port: whole,
  standby: oneOf('warm', 'cold'),
  follow: oneOf('leader', 'sticky'),
  reflexes: flag,
  kernels: optional(object<{ placement: string }>({ placement: oneOf('spread', 'leader') })),
  executable: text,
});

const proxy = object<ProxySpec>({
  topology: oneOf('direct', 'owner', 'chain'),
  drainMs: number,
  tls: optional(map((value, at) => (typeof value === 'number' ? [] : text(value, at)))),
});

/** The kind of each value of a spec. What they mean together is for `checkSpec` in `checks.ts`. */
export const clusterSpec = object<Omit<ClusterSpec, 'id'>>({
  name: text,
  hosts: list(host, 1),
  zookeeper,
  mesos,
  network,
  storage,
  nodes,
  etcd,
  jupyter,
  proxy,
});
