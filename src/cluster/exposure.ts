/** What a cluster of a spec exposes to the network: each kind of port that it opens, and what closes it. Pure. */
import { isUnkeyed, targetsOf } from './host-keys.js';
import { etcdSecurity, hostsWithRole, type ClusterSpec, type HostPorts, type Role } from './spec.js';

/** One kind of port that a cluster opens. */
export interface Door {
  readonly door: string;
  readonly ports: readonly number[];
  /** Who gets in, or what an open door permits. */
  readonly who: string;
  /** Anybody who reaches the port gets in. */
  readonly open: boolean;
  /** The key of the spec that closes it, if there is one. */
  readonly closedBy?: string;
  /** The key of the spec that hides what passes from the network, if it is readable there. */
  readonly protectedBy?: string;
  /** Where it is on hosts; empty for ports of nodes. */
  readonly places: readonly { readonly host: string; readonly address: string; readonly port: number }[];
}

/** All doors of the cluster but SSH, which is there before it. */
export function doorsOf(spec: ClusterSpec): readonly Door[] {
  const { mesos, zookeeper, etcd, nodes, jupyter, proxy, network, storage } = spec;
  const onHosts = (role: Role, ...keys: readonly (keyof HostPorts)[]): Pick<Door, 'ports' | 'places'> => {
    const places = hostsWithRole(spec, role).flatMap(({ name, address, ports }) =>
      keys.map((key) => ({ host: name, address, port: ports[key] })),
    );
    return { places, ports: [...new Set(places.map(({ port }) => port))] };
  };
  const onNodes = (...ports: readonly number[]): Pick<Door, 'ports' | 'places'> => ({ ports, places: [] });
  const isClosed = etcdSecurity(spec) === 'authenticated';
  const hasPrincipal = mesos.principal !== undefined;
  const principal = hasPrincipal ? {} : { closedBy: 'mesos.security: authenticated' };
  const doors: readonly Door[] = [
    {
      ...{ door: 'Jupyter', open: false },
      who: `whoever has the token, which passes over ${proxy.tls ? 'HTTPS' : 'plain HTTP'}`,
      ...(proxy.tls ? {} : { protectedBy: 'proxy.tls' }),
      ...onHosts('proxy', 'proxy'),
    },
    {
      ...{ door: 'Mesos masters', open: !hasPrincipal, ...principal, ...onHosts('master', 'master') },
      who: hasPrincipal
        ? 'frameworks with the credential; agents without one'
        : 'everyone: run commands on the hosts',
    },
    {
      ...{ door: 'Mesos agents', open: !hasPrincipal, ...principal, ...onHosts('agent', 'agent') },
      who: hasPrincipal ? 'whoever has the credential' : 'everyone: read and end tasks',
    },
    {
      ...{ door: 'ZooKeeper', open: !zookeeper.digest, ...onHosts('zookeeper', 'zookeeper') },
      ...(zookeeper.digest ? {} : { closedBy: 'zookeeper.digest: true' }),
      who: zookeeper.digest
        ? `everyone reads; masters write below ${mesos.zkPath}`
        : 'everyone: name another Mesos master',
    },
    {
      ...{ door: 'ZooKeeper servers', open: true, who: 'everyone: join or disturb the ensemble' },
      ...onHosts('zookeeper', 'zookeeperPeer', 'zookeeperElection'),
    },
    {
      ...{ door: 'etcd, on nodes', open: !isClosed },
      ...(isClosed ? {} : { closedBy: 'etcd.security: authenticated' }),
      who: isClosed
        ? 'members and programs with a certificate of the cluster'
        : 'everyone: read, write, remove members',
      ...onNodes(etcd.clientPort, etcd.peerPort),
    },
    {
      ...{ door: 'nodes', open: false, who: 'tokens and keys of the cluster' },
      ...onNodes(jupyter.port, nodes.controlPort, nodes.sshPort),
    },
    ...(network.kind === 'vxlan'
      ? [
          {
            door: 'VXLAN (UDP)',
            open: true,
            who: 'everyone: be in the network of the nodes',
            ...onNodes(4789),
          },
        ]
      : []),
    ...(storage.kind === 'gluster'
      ? [{ door: 'GlusterFS', open: false, who: 'the hosts of the spec, by address', ...onNodes(24_007) }]
      : []),
  ];
  return doors.filter(({ ports }) => ports.length > 0);
}

/** Who runs notebooks, terminals and kernels. */
export interface NotebookUser {
  readonly who: string;
  /** It is neither root nor the user who deploys, so it reads no secret but its own. */
  readonly apart: boolean;
}

/** In containers root starts nodes; a process is started by the user who deploys on its host. */
export function notebookUser(spec: ClusterSpec): NotebookUser {
  const { containerizer, user } = spec.nodes;
  const uid = user?.uid ?? 0;
  const others = hostsWithRole(spec, 'agent')
    .map(({ become, ssh }) => (become === 'sudo' ? 'root' : ssh.user))
    .filter((name) => name !== 'root');
  if (containerizer === 'mesos' && others.length > 0) {
    return { who: `${[...new Set(others)].join(', ')}, who owns all files of the cluster`, apart: false };
  }
  if (uid !== 0) return { who: `user ${uid}`, apart: true };
  return { who: containerizer === 'docker' ? 'root of their container' : 'root of the host', apart: false };
}

/** The hosts whose SSH key, or whose jump host's, is trusted when it is first seen: the spec has no key for it. */
export function trustedAtFirstSight({ hosts }: Pick<ClusterSpec, 'hosts'>): readonly string[] {
  return hosts.filter((host) => targetsOf([host]).some(isUnkeyed)).map(({ name }) => name);
}
