/**
 * What the nodes of a cluster should be: decided by `up`, kept by the framework workflow, and carried out by
 * whichever worker launches a node. A worker of another release launches the same, and restarts nothing.
 */
import { canonicalJson } from '../cluster/canonical.js';
import { nodeSecretNames } from '../cluster/secrets.js';
import { hostsWithRole, nodeNames, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { sourceSha256, type Artifacts } from '../hosts/artifacts.js';
import { sha256OfText } from '../hosts/checksum.js';
import { hostPaths } from '../hosts/paths.js';
import {
  environmentOf,
  nodeConfig,
  nodePaths,
  nodeStart,
  ofNoRestart,
  type NodeConfig,
  type NodeFacts,
} from './config.js';
import { nodeImage } from './image/image.js';
import { nodeItems } from './items.js';
import type { NodeCommand } from '../mesos/scheduler/launch.js';

/** Plain JSON without a secret; some 2 KB for five nodes on three hosts. */
export interface NodePlan {
  /** The configuration of every node, but for what is its own. */
  readonly common: Omit<NodeConfig, 'name' | 'index' | 'address' | 'paths'>;
  /** Docker image, where nodes run in containers. */
  readonly image?: string;
  /** By the name of the host. */
  readonly hosts: Readonly<
    Record<
      string,
      {
        /** Directory of the nodes' trees. */
        readonly nodes: string;
        /** Directory of the secrets that its nodes see. */
        readonly secrets: string;
        readonly bin: string;
        /** Shell command that starts a node, without the node's index. */
        readonly start: string;
      }
    >
  >;
  /** SHA-256 (hex) of what a node must be restarted for, by index. */
  readonly digests: readonly string[];
}

/**
 * The plan by which this release makes the nodes of the spec. `artifacts` are the programs that it brings, `secrets` the
 * digest of the secrets that a node reads at its start alone (`startSecretsDigest`).
 */
export async function makeNodePlan(
  spec: ClusterSpec,
  artifacts: Artifacts,
  secrets: string,
): Promise<NodePlan> {
  const agents = hostsWithRole(spec, 'agent');
  const [first] = agents;
  if (first === undefined) throw new TypeError('a cluster has an agent');
  const programs = await programsDigest(spec, first, artifacts);
  const image = nodeImage(spec)?.reference;
  const configs = nodeNames(spec).map((_name, index) => nodeConfig(spec, index, first));
  const { name, index, address, paths, ...common } = nodeConfig(spec, 0, first);
  return {
    common,
    ...(image === undefined ? {} : { image }),
    hosts: Object.fromEntries(agents.map((host) => [host.name, placesOn(spec, host)])),
    digests: configs.map((config) =>
      digest({ ...config, image, programs, secrets: [secretsSeen(spec), secrets], ...ofNoRestart }),
    ),
  };
}

/** The secrets that a container sees: one that sees others is replaced. A process sees what its user may read. */
function secretsSeen(spec: ClusterSpec): readonly string[] | undefined {
  return spec.nodes.containerizer === 'docker' ? nodeSecretNames : undefined;
}

function placesOn(spec: ClusterSpec, host: HostSpec): NodePlan['hosts'][string] {
  const { data, nodeSecrets, bin } = hostPaths(host);
  return { nodes: `${data}/nodes`, secrets: nodeSecrets, bin, start: nodeStart(spec, host) };
}

/** Of the programs that a running node does not take over from its host: what lies there counts at its start. */
export async function programsDigest(
  spec: ClusterSpec,
  host: HostSpec,
  artifacts: Artifacts,
): Promise<string> {
  const { bin } = hostPaths(host);
  const { files } = nodeItems(spec, host);
  const sums = await Promise.all(
    files.map(async ({ path, source }) => [
      path.slice(bin.length),
      // The wrapper has the host's own directory in it.
      source.kind === 'text'
        ? digest(source.text.replaceAll(bin, ''))
        : await sourceSha256(source, artifacts),
    ]),
  );
  return digest(sums);
}

function digest(value: unknown): string {
  return sha256OfText(canonicalJson(value));
}

/** The configuration of node `index` on a host, as the plan has it. */
export function plannedConfig(plan: NodePlan, index: number, host: string): NodeConfig {
  const places = plan.hosts[host];
  const node = plan.common.nodes[index];
  if (places === undefined || node === undefined) throw new TypeError(`no plan for node ${index} on ${host}`);
  return {
    ...plan.common,
    name: node.name,
    index,
    address: node.address,
    paths: nodePaths(`${places.nodes}/${node.name}`, { ...places, ownsMachine: plan.common.ownsMachine }),
  };
}

/** The command and the environment of the Mesos task that is node `index` on a host, as the plan has them. */
export function plannedCommand(plan: NodePlan, index: number, host: string, facts: NodeFacts): NodeCommand {
  const { start, secrets } = plan.hosts[host] ?? {};
  return {
    value: `${start ?? ''} ${index}`,
    environment: environmentOf(plannedConfig(plan, index, host), facts),
    ...(plan.image === undefined ? {} : { image: plan.image }),
    ...(secrets === undefined ? {} : { secrets }),
  };
}
