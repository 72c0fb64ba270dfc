import type { GlusterSpec } from '../../src/storage/gluster.js';
import type { ClusterSpec, HostPorts, HostSpec } from '../../src/cluster/spec.js';

type Overrides<T> = { readonly [K in keyof T]?: T[K] extends readonly unknown[] ? T[K] : Partial<T[K]> };

const ports: HostPorts = {
  zookeeper: 2181,
  zookeeperPeer: 2888,
  zookeeperElection: 3888,
  master: 5050,
  agent: 5051,
  proxy: 8888,
  proxyApi: 8001,
};

/** A host with every role, at a loopback address; tests override what they need. */
export function makeHost(name: string, overrides: Partial<HostSpec> = {}): HostSpec {
  const address = overrides.address ?? '127.0.1.1';
  return {
    name,
    ssh: { address, port: 2200, user: 'root', agent: false },
    become: 'none',
    address,
    hostname: address,
    dir: `/opt/perijove/${name}`,
    init: 'runit',
    roles: ['zookeeper', 'master', 'agent', 'proxy'],
    ports,
    ...overrides,
  };
}

/** A whole cluster of three hosts and five nodes, like the lab's; sections are merged field by field. */
export function makeSpec(overrides: Overrides<ClusterSpec> = {}): ClusterSpec {
  const hosts =
    overrides.hosts ?? [1, 2, 3].map((index) => makeHost(`h${index}`, { address: `127.0.1.${index}` }));
  const base: ClusterSpec = {
    name: 'test',
    hosts,
    zookeeper: {
      install: { kind: 'package', package: 'zookeeper' },
      tickTimeMs: 2_000,
      initLimitTicks: 10,
      syncLimitTicks: 5,
      heapBytes: 64 * 1024 * 1024,
      digest: false,
    },
    mesos: {
      install: { kind: 'lab' },
      cluster: 'test',
      quorum: 2,
      zkPath: '/mesos',
      sessionTimeoutMs: 4_000,
      agentPingTimeoutMs: 15_000,
      maxAgentPingTimeouts: 5,
      framework: 'perijove',
      role: '*',
      failoverTimeoutMs: 604_800_000,
      masterFlags: {},
      agentFlags: {},
    },
    network: { kind: 'flat', subnet: '127.0.2.0/24' },
    storage: { kind: 'path', path: '/tmp/perijove-notebooks' },
    nodes: {
      count: 5,
      cpus: 1,
      memoryBytes: 512 * 1024 * 1024,
      firstAddress: '127.0.2.10',
      containerizer: 'mesos',
      image: 'perijove-node',
      sshPort: 2222,
      controlPort: 2400,
      allowMajorityOnOneHost: false,
    },
    etcd: {
      token: 'perijove',
      heartbeatMs: 50,
      electionMs: 500,
      clientPort: 2379,
      peerPort: 2380,
      executable: 'etcd',
    },
    jupyter: {
      port: 8888,
      standby: 'warm',
      follow: 'leader',
      reflexes: true,
      executable: 'jupyter-lab',
    },
    proxy: { topology: 'direct', drainMs: 30_000 },
  };
  return {
    ...base,
    ...overrides,
    hosts,
    zookeeper: { ...base.zookeeper, ...overrides.zookeeper },
    mesos: { ...base.mesos, ...overrides.mesos },
    network: { ...base.network, ...overrides.network } as ClusterSpec['network'],
    storage: { ...base.storage, ...overrides.storage } as ClusterSpec['storage'],
    nodes: { ...base.nodes, ...overrides.nodes },
    etcd: { ...base.etcd, ...overrides.etcd },
    jupyter: { ...base.jupyter, ...overrides.jupyter },
    proxy: { ...base.proxy, ...overrides.proxy },
  };
}

/** Notebooks on a GlusterFS volume. */
export function makeGluster(overrides: Partial<GlusterSpec> = {}): GlusterSpec {
  return {
    kind: 'gluster',
    volume: 'v',
    brick: '/srv/brick',
    mount: '/srv/v',
    pingTimeoutMs: 3_000,
    ...overrides,
  };
}
