/** How the framework and its tasks are described to Mesos. */
import { hostname } from 'node:os';
import { hostPaths } from '../../hosts/paths.js';
import {
  defaultPrincipal,
  hostsWithRole,
  nodeAddress,
  sharedDirectory,
  type ClusterSpec,
  type HostSpec,
} from '../../cluster/spec.js';
import { hostAttribute } from '../installation/items.js';
import { containerLabels } from '../../node/layout.js';
import type { FrameworkFacts } from '../masters/operator-client.js';
import type { Placed, Placement } from './placement.js';
import { taskIdOf, type LaunchIntent } from './tasks.js';
import type { FrameworkInfo, Label, ResourceRequest, TaskInfo } from './types.js';

const clusterLabel = 'perijove.cluster';
const nodeLabel = 'perijove.node';
const configLabel = 'perijove.config';

/** How long etcd, sshd and Jupyter have to end after SIGTERM. */
const killGraceNs = 10 * 1e9;

/** Without PARTITION_AWARE, Mesos reports tasks of a disconnected agent as lost, and resends nothing. */
const capabilities = ['PARTITION_AWARE', 'TASK_KILLING_STATE'].map((type) => ({ type }));

/** The framework of a cluster. Its tasks run as the user who installed them on the hosts. */
export function frameworkInfo(spec: ClusterSpec): FrameworkInfo {
  const [host] = hostsWithRole(spec, 'agent');
  return {
    user: host === undefined ? 'root' : userOf(host),
    name: spec.mesos.framework,
    role: spec.mesos.role,
    failover_timeout: spec.mesos.failoverTimeoutMs / 1_000,
    checkpoint: true,
    hostname: hostname(),
    // Of an open cluster, too: Mesos never changes it, and masters that require it come later.
    principal: spec.mesos.principal ?? defaultPrincipal,
    capabilities,
    labels: { labels: [{ key: clusterLabel, value: spec.name }] },
  };
}

function userOf(host: HostSpec): string {
  return host.become === 'sudo' ? 'root' : host.ssh.user;
}

/** Whether a framework that a master knows belongs to the cluster. */
export function isOurs(spec: ClusterSpec, framework: FrameworkFacts): boolean {
  return labelOf(framework.labels, clusterLabel) === spec.name;
}

/** The digest of the configuration that a task was launched with; empty when it has none. */
export function configOfTask(labels: readonly Label[]): string {
  return labelOf(labels, configLabel) ?? '';
}

function labelOf(labels: readonly Label[], key: string): string | undefined {
  return labels.find((label) => label.key === key)?.value;
}

export interface AgentIdentity {
  readonly hostname: string;
  readonly address?: { readonly ip: string; readonly port: number };
  readonly attributes: Readonly<Record<string, string>>;
}

/** The host in the spec that an agent (or its offer) belongs to. */
export function hostOfAgent(spec: ClusterSpec, agent: AgentIdentity): HostSpec | undefined {
  const hosts = hostsWithRole(spec, 'agent');
  const named = hosts.find(({ name }) => name === agent.attributes[hostAttribute]);
  if (named !== undefined) return named;
  const { address } = agent;
  const addressed = hosts.find((host) => host.address === address?.ip && host.ports.agent === address.port);
  if (addressed !== undefined) return addressed;
  const sameName = hosts.filter((host) => host.hostname === agent.hostname);
  return sameName.length === 1 ? sameName[0] : undefined;
}

/** The command and environment of a node, without secrets. */
export interface NodeCommand {
  readonly value: string;
  readonly environment: Readonly<Record<string, string>>;
  /** The image of its container; absent for a plain process. */
  readonly image?: string;
  /** The directory of the secrets that the container sees; absent where the node is not planned: those of nodes. */
  readonly secrets?: string;
}

/** The task of a node, as the ACCEPT carries it. */
export function taskInfo(
  spec: ClusterSpec,
  intent: LaunchIntent,
  host: HostSpec,
  command: NodeCommand,
  resources: readonly ResourceRequest[],
): TaskInfo {
  const container =
    command.image === undefined
      ? undefined
      : containerOf(spec, intent, host, { ...command, image: command.image });
  return {
    name: intent.node,
    task_id: { value: intent.taskId },
    agent_id: { value: intent.agentId },
    resources,
    command: {
      shell: true,
      value: command.value,
      user: userOf(host),
      environment: {
        variables: Object.entries(command.environment).map(([name, value]) => ({ name, value })),
      },
    },
    ...(container === undefined ? {} : { container }),
    kill_policy: { grace_period: { nanoseconds: killGraceNs } },
    labels: {
      labels: [
        { key: clusterLabel, value: spec.name },
        { key: nodeLabel, value: intent.node },
        { key: configLabel, value: intent.config },
      ],
    },
  };
}

/**
 * A container at the node's own address. Its data, and the files from its host, have the same paths as on the
 * host. Its labels match the marks in a process's environment: they identify it when nothing else does.
 */
function containerOf(
  spec: ClusterSpec,
  { node, taskId }: LaunchIntent,
  host: HostSpec,
  { image, secrets }: { readonly image: string; readonly secrets?: string },
): Record<string, unknown> {
  const paths = hostPaths(host);
  const tree = paths.clusterNode(node);
  const volume = (path: string, mode: 'RO' | 'RW') => ({ container_path: path, host_path: path, mode });
  const label = (key: string, value: string) => ({ key: 'label', value: `${key}=${value}` });
  // A flat network has no Docker network; `checks.ts` refuses that, since it has no addresses to assign.
  const network = spec.network.kind === 'flat' ? undefined : spec.network.name;
  const address = nodeAddress(spec, nodeIndex(node));
  return {
    type: 'DOCKER',
    volumes: [
      volume(paths.bin, 'RO'),
      volume(secrets ?? paths.nodeSecrets, 'RO'),
      volume(tree, 'RW'),
      volume(sharedDirectory(spec), 'RW'),
    ],
    ...(network === undefined ? {} : { hostname: node, network_infos: [{ name: network }] }),
    docker: {
      image,
      network: network === undefined ? 'HOST' : 'USER',
      parameters: [
        ...(network === undefined ? [] : [{ key: 'ip', value: address }]),
        label(clusterLabel, spec.name),
        label(containerLabels.tree, tree),
        label(containerLabels.task, taskId),
      ],
    },
  };
}

/** 3 of `node3`. */
export function nodeIndex(node: string): number {
  return Number(node.slice('node'.length));
}

export interface Launch {
  readonly offerIds: readonly string[];
  readonly nodes: readonly { readonly intent: LaunchIntent; readonly placed: Placed }[];
}

/**
 * The launches of a placement, one for each ACCEPT, numbered in the order of the nodes.
 *
 * @param first the number of the first launch
 * @param configOf the digest of the configuration of a node on a host
 */
export function launchesOf(
  accepts: Placement['accepts'],
  first: number,
  configOf: (node: string, host: string) => string,
): Launch[] {
  const order = accepts.flatMap(({ nodes }) => nodes.map(({ node }) => node));
  order.sort((a, b) => nodeIndex(a) - nodeIndex(b));
  return accepts.map(({ offerIds, nodes }) => ({
    offerIds,
    nodes: nodes.map((placed) => {
      const { node, host, agentId } = placed;
      const taskId = taskIdOf(node, first + order.indexOf(node));
      return { intent: { node, taskId, agentId, host, config: configOf(node, host) }, placed };
    }),
  }));
}
