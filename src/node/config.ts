/** The configuration of one node at its launch: derived from the spec, plain JSON, without secrets. */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { hostPaths } from '../hosts/paths.js';
import { quote } from '../ssh/shell.js';
import {
  etcdSecurity,
  gateRule,
  nodeAddress,
  nodeName,
  nodeNames,
  notebooksDirectory,
  taskVariables,
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
  /** IPv4 address of this node; all that it serves is bound to it. */
  address: z.ipv4(),
  /** All nodes of the cluster, including this one, by index. */
  nodes: z.array(z.object({ name: z.string().min(1), address: z.ipv4() })).min(1),
  ports: z.object({ etcdClient: port, etcdPeer: port, ssh: port, control: port, jupyter: port }),
  etcd: z.object({
    token: z.string().min(1),
    heartbeatMs: z.int().min(1),
    electionMs: z.int().min(1),
    executable: z.string().min(1),
    /** Absent: open, without TLS. */
    security: z.enum(['authenticated', 'transition']).optional(),
  }),
  jupyter: z.object({
    executable: z.string().min(1),
    /** Root of the notebooks, on the storage that all nodes share. */
    notebooks: path,
    standby: z.enum(['warm', 'cold']),
    /** `gateRule` of the spec. */
    gate: z.enum(['reflex', 'word']),
  }),
  /** Who runs Jupyter, if the node is started by root; absent: whoever starts the node. */
  user: z.object({ uid: z.int().min(1), gid: z.int().min(1) }).optional(),
  /** Existing notebooks are given to `user`. */
  takeOwnership: z.boolean().optional(),
  /** Names of further variables that a process takes over from its executor's environment. */
  variables: z.array(z.string()).readonly().optional(),
  /** The node has its own machine (a container), with its own 127.0.0.1 and /etc/hosts. */
  ownsMachine: z.boolean(),
  /** They differ between hosts and are not part of the digest. */
  paths: z.object({
    /** The node writes only below it. */
    base: path,
    secrets: path,
    /** Directory of `node` and `perijove-node.mjs`. */
    bin: path,
    /** The node's hosts file. */
    hosts: path,
  }),
});

export type NodeConfig = Readonly<z.infer<typeof nodeConfigSchema>>;

/** Environment variables of a node's launch. */
export const nodeEnvironment = {
  config: 'PERIJOVE_NODE_CONFIG',
  /** `true` when etcd was complete once: a node without data then joins, and never bootstraps. */
  etcdFormed: 'PERIJOVE_ETCD_FORMED',
  /** The epoch of etcd, after a recovery: data of an earlier one are set aside. */
  etcdEpoch: 'PERIJOVE_ETCD_EPOCH',
  /** Its Mesos task, such as `node3.17`. */
  task: 'PERIJOVE_NODE_TASK',
} as const;

/** File name of the node program, in this package's `dist/programs` and in `<dir>/bin`. */
export const nodeProgram = 'perijove-node.mjs';

/**
 * The configuration of node `index` on `host`. It keeps its tree at `<dir>/data/nodes/nodeN` of the host, so
 * a relaunch there finds its etcd data; a container has it, and all our other files, at the same path.
 */
export function nodeConfig(spec: ClusterSpec, index: number, host: HostSpec): NodeConfig {
  const paths = hostPaths(host);
  const name = nodeName(index);
  const base = paths.clusterNode(name);
  const { user } = spec.nodes;
  const ownsMachine = spec.nodes.containerizer === 'docker';
  const security = etcdSecurity(spec);
  const variables = ownsMachine ? [] : taskVariables(spec);
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
      ...(security !== 'open' && { security }),
    },
    jupyter: {
      executable: spec.jupyter.executable,
      notebooks: notebooksDirectory(spec),
      standby: spec.jupyter.standby,
      gate: gateRule(spec),
    },
    ...(user !== undefined && user.uid !== 0 && { user }),
    ...(spec.storage.takeOwnership === true && { takeOwnership: true }),
    ...(variables.length > 0 && { variables }),
    ownsMachine,
    paths: nodePaths(base, { secrets: paths.nodeSecrets, bin: paths.bin, ownsMachine }),
  };
}

/** Where a node with that base directory has what differs from host to host. */
export function nodePaths(
  base: string,
  {
    secrets,
    bin,
    ownsMachine,
  }: { readonly secrets: string; readonly bin: string; readonly ownsMachine: boolean },
): NodeConfig['paths'] {
  return { base, secrets, bin, hosts: ownsMachine ? '/etc/hosts' : `${base}/etc/hosts` };
}

/** Of a configuration: what a running node need not be restarted for. */
export const ofNoRestart = { paths: undefined, nodes: undefined, takeOwnership: undefined };

/**
 * SHA-256 (hex) of what requires a restart of the node. Two hosts with different base directories give the
 * same digest, so moving a node is not a changed configuration; nor is adding or removing a node, which
 * running nodes learn through their hosts file. `image` is the image of its container.
 */
export function configDigest(config: NodeConfig, image?: string): string {
  const said = canonicalJson({ ...config, image, ...ofNoRestart });
  return createHash('sha256').update(said).digest('hex');
}

/** What a launch knows beside the configuration. */
export interface NodeFacts {
  readonly etcdFormed: boolean;
  /** 0 if absent. */
  readonly etcdEpoch?: number;
  readonly taskId?: string;
}

/** By these an executor finds the libraries of Mesos, in which a node's programs would find others than their own. */
const loaderVariables = ['LD_LIBRARY_PATH', 'LD_PRELOAD', 'NODE_OPTIONS'];

/**
 * The shell command that starts a node on the host, without the node's index. In a container `tini` is PID 1: it passes
 * signals on, and reaps orphaned processes; its environment is that of its image.
 */
export function nodeStart(spec: ClusterSpec, host: HostSpec): string {
  const before =
    spec.nodes.containerizer === 'docker' ? 'exec tini --' : `unset ${loaderVariables.join(' ')}; exec`;
  return `${before} ${quote(`${hostPaths(host).bin}/perijove-node`)} start`;
}

export function environmentOf(
  config: NodeConfig,
  { etcdFormed, etcdEpoch = 0, taskId }: NodeFacts,
): Record<string, string> {
  return {
    [nodeEnvironment.config]: JSON.stringify(config),
    [nodeEnvironment.etcdFormed]: String(etcdFormed),
    ...(etcdEpoch === 0 ? {} : { [nodeEnvironment.etcdEpoch]: String(etcdEpoch) }),
    ...(taskId === undefined ? {} : { [nodeEnvironment.task]: taskId }),
  };
}

/** The command and the environment of the Mesos task of node `index` on `host`. */
export function nodeCommand(
  spec: ClusterSpec,
  index: number,
  host: HostSpec,
  facts: NodeFacts,
): { value: string; environment: Record<string, string> } {
  return {
    value: `${nodeStart(spec, host)} ${index}`,
    environment: environmentOf(nodeConfig(spec, index, host), facts),
  };
}
