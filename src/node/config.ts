/** What one node is told when it is launched: made from the spec, plain JSON, without a secret. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { hostPaths } from '../hosts/paths.js';
import { quote } from '../ssh/shell.js';
import {
  gateRule,
  nodeAddress,
  nodeName,
  nodeNames,
  sharedDirectory,
  type ClusterSpec,
  type HostSpec,
} from '../cluster/spec.js';
import { canonicalJson } from '../cluster/canonical.js';

const port = z.int().min(1).max(65535);
const path = z.string().startsWith('/');

export const nodeConfigSchema = z.object({
  cluster: z.string().min(1),
  name: z.string().min(1),
  index: z.int().min(0),
  /** IPv4 address of this node; everything that it serves is bound to it. */
  address: z.ipv4(),
  /** All nodes of the cluster, this one among them, by index. */
  nodes: z.array(z.object({ name: z.string().min(1), address: z.ipv4() })).min(1),
  ports: z.object({ etcdClient: port, etcdPeer: port, ssh: port, control: port, jupyter: port }),
  etcd: z.object({
    token: z.string().min(1),
    heartbeatMs: z.int().min(1),
    electionMs: z.int().min(1),
    executable: z.string().min(1),
  }),
  jupyter: z.object({
    executable: z.string().min(1),
    /** Root of the notebooks, on the storage that all nodes share. */
    notebooks: path,
    standby: z.enum(['warm', 'cold']),
    /** `gateRule` of the spec. */
    gate: z.enum(['reflex', 'word']),
  }),
  /** The node has a machine of its own (a container): 127.0.0.1 and /etc/hosts are its own too. */
  ownsMachine: z.boolean(),
  /** Differ from host to host; not part of the digest. */
  paths: z.object({
    /** Everything that the node writes lies below it. */
    base: path,
    secrets: path,
    /** Where `node` and `perijove-node.mjs` lie. */
    bin: path,
    /** The node's hosts file. */
    hosts: path,
  }),
});

export type NodeConfig = Readonly<z.infer<typeof nodeConfigSchema>>;

/** Names of the environment that a node is launched with. */
export const nodeEnvironment = {
  config: 'PERIJOVE_NODE_CONFIG',
  /** `true` when etcd was whole once: a node without data then joins, and never bootstraps. */
  etcdFormed: 'PERIJOVE_ETCD_FORMED',
  /** The Mesos task that it is, such as `node3.17`. */
  task: 'PERIJOVE_NODE_TASK',
} as const;

/** File name of the node program, in this package's `dist/programs` and in `<dir>/bin`. */
export const nodeProgram = 'perijove-node.mjs';

/**
 * The configuration of node `index` when it runs on `host`. It keeps its tree at `<dir>/data/nodes/nodeN` of the
 * host, so a relaunch there finds its etcd data; a container has it, and all else of ours, at the same path.
 */
export function nodeConfig(spec: ClusterSpec, index: number, host: HostSpec): NodeConfig {
  const paths = hostPaths(host);
  const name = nodeName(index);
  const base = paths.clusterNode(name);
  const ownsMachine = spec.nodes.containerizer === 'docker';
  return {
    cluster: spec.name,
    name,
    index,
    address: nodeAddress(spec, index),
    nodes: nodeNames(spec).map((each, at) => ({ name: each, address: nodeAddress(spec, at) })),
    ports: {
      etcdClient: spec.etcd.clientPort,
      etcdPeer: spec.etcd.peerPort,
      ssh: spec.nodes.sshPort,
      control: spec.nodes.controlPort,
      jupyter: spec.jupyter.port,
    },
    etcd: {
      token: spec.etcd.token,
      heartbeatMs: spec.etcd.heartbeatMs,
      electionMs: spec.etcd.electionMs,
      executable: spec.etcd.executable,
    },
    jupyter: {
      executable: spec.jupyter.executable,
      notebooks: `${sharedDirectory(spec)}/notebooks`,
      standby: spec.jupyter.standby,
      gate: gateRule(spec),
    },
    ownsMachine,
    paths: {
      base,
      secrets: paths.secrets,
      bin: paths.bin,
      hosts: ownsMachine ? '/etc/hosts' : `${base}/etc/hosts`,
    },
  };
}

/**
 * SHA-256 (hex) of what a node must be restarted for. Two hosts whose base directories differ give the same
 * digest, so moving a node does not look like a changed configuration; nor does a node more or less, of which a
 * node that runs is told with its hosts file. `image` is what its container runs from.
 */
export function configDigest(config: NodeConfig, image?: string): string {
  const said = canonicalJson({ ...config, image, paths: undefined, nodes: undefined });
  return createHash('sha256').update(said).digest('hex');
}

/**
 * The command and the environment of the Mesos task that is node `index` on `host`. In a container `tini` is
 * PID 1: it passes signals on, and asks for the ends of processes whose parents are gone.
 */
export function nodeCommand(
  spec: ClusterSpec,
  index: number,
  host: HostSpec,
  { etcdFormed, taskId }: { readonly etcdFormed: boolean; readonly taskId?: string },
): { value: string; environment: Record<string, string> } {
  return {
    value: `exec ${spec.nodes.containerizer === 'docker' ? 'tini -- ' : ''}${quote(`${hostPaths(host).bin}/perijove-node`)} start ${index}`,
    environment: {
      [nodeEnvironment.config]: JSON.stringify(nodeConfig(spec, index, host)),
      [nodeEnvironment.etcdFormed]: String(etcdFormed),
      ...(taskId === undefined ? {} : { [nodeEnvironment.task]: taskId }),
    },
  };
}
