import { hostsWithRole, nodeAddress, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { messageOf, PerijoveError } from '../errors/error.js';
import { readEtcdAccess } from '../etcd/access.js';
import { hostPaths } from '../hosts/paths.js';
import { known, notKnown, observedOn, type Observation } from '../hosts/observation.js';
import type { PresumedTask } from '../mesos/fencing/fences.js';
import { readSchedulerSecrets, type SchedulerSecrets } from '../mesos/installation/secrets.js';
import type { LaunchFacts, Leave } from '../mesos/scheduler/deps.js';
import { nodeIndex, type NodeCommand } from '../mesos/scheduler/launch.js';
import { parseTaskId, type NodeTask } from '../mesos/scheduler/tasks.js';
import { nodeClient } from '../node/client.js';
import { configDigest, environmentOf, nodeCommand, nodeConfig } from '../node/config.js';
import { fenceNode, type FenceAnswer } from '../node/fence.js';
import { nodeImage } from '../node/image/image.js';
import {
  markFormedScript,
  memoryOf,
  nodeTreesScript,
  parseNodeTrees,
  type NodeMemory,
} from '../node/memory.js';
import { makeNodePlan, plannedCommand, type NodePlan } from '../node/plan.js';
import { startSecretsDigest } from '../node/start-secrets.js';
import type { SshPool } from '../ssh/connection.js';
import { sshReach, type Reach } from '../ssh/reach.js';
import type { ActivityDeps } from './deps.js';
import { retire, vacate, type RetirementDeps } from './retirement.js';

/** How to reach the cluster, and what its nodes run; tests replace it. */
export interface FrameworkWays {
  reach(spec: ClusterSpec): Reach;
  secrets(spec: ClusterSpec): Promise<SchedulerSecrets>;
  /** What this release makes of the spec and the secrets. @throws PerijoveError SSH_*, SECRETS_ABSENT */
  plan(spec: ClusterSpec): Promise<NodePlan | undefined>;
  /** What the hosts keep of the nodes; undefined where they have none. @throws PerijoveError OBSERVATION_INCOMPLETE, SSH_* */
  remember(spec: ClusterSpec): Promise<NodeMemory | undefined>;
  /** Marks the trees of the nodes on all hosts: etcd was formed. @throws PerijoveError SSH_*, COMMAND_FAILED */
  markFormed(spec: ClusterSpec): Promise<void>;
  /** By the plan of the framework; one that an earlier release left without has what this release makes. */
  command(
    spec: ClusterSpec,
    index: number,
    host: HostSpec,
    facts: LaunchFacts,
    plan: NodePlan | undefined,
  ): NodeCommand;
  /** `host` is the name of one that the spec may lack by now. */
  digest(spec: ClusterSpec, index: number, host: string, plan: NodePlan | undefined): string;
  /** See `SchedulerDeps`. */
  healthy(spec: ClusterSpec, node: string, host?: string): Promise<Observation<boolean>>;
  vacate(spec: ClusterSpec, node: string, leaves: boolean): Promise<Leave>;
  retire(spec: ClusterSpec, task: Pick<NodeTask, 'node' | 'taskId'>): Promise<Leave>;
  /** Ends every process of a task on its host. */
  fence(spec: ClusterSpec, task: PresumedTask): Promise<FenceAnswer>;
}

const treesMs = 30_000;

/** Reaches the cluster over SSH. */
export function frameworkWays({
  client,
  pool,
  artifacts,
}: Pick<ActivityDeps, 'client' | 'pool' | 'artifacts'>): FrameworkWays {
  const nodeOf = async (spec: ClusterSpec, node: string, token: string, host?: string) => {
    const address = nodeAddress(spec, nodeIndex(node));
    const port = spec.nodes.controlPort;
    const reach = sshReach(pool, spec);
    const way = host === undefined ? reach.any(address, port) : reach.via(host, address, port);
    return nodeClient(await way, token);
  };
  const statusOf = async (spec: ClusterSpec, node: string, token: string, host?: string) =>
    (await nodeOf(spec, node, token, host)).status();
  const retirement = (spec: ClusterSpec): RetirementDeps => ({
    client,
    reach: sshReach(pool, spec),
    spec,
    etcdAccess: () => readEtcdAccess(pool, spec),
    node: async (name) => nodeOf(spec, name, (await readSchedulerSecrets(pool, spec)).nodeApiToken),
  });
  return {
    reach: (spec) => sshReach(pool, spec),
    secrets: (spec) => readSchedulerSecrets(pool, spec),
    plan: async (spec) => makeNodePlan(spec, artifacts, await startSecretsDigest(pool, spec)),
    remember: (spec) => remember(pool, spec),
    markFormed: async (spec) => {
      await Promise.all(
        hostsWithRole(spec, 'agent').map(async (host) => {
          const connection = await pool.get(host);
          await connection.run(markFormedScript(host), { timeoutMs: treesMs });
        }),
      );
    },
    command: (spec, index, host, facts, plan) => {
      if (plan !== undefined) return plannedCommand(plan, index, host.name, facts);
      return unplannedCommand(spec, index, host, facts);
    },
    digest: (spec, index, name, plan) => {
      const present = plan?.digests[index];
      if (present !== undefined) return present;
      const host = spec.hosts.find((each) => each.name === name);
      return host === undefined
        ? ''
        : configDigest(nodeConfig(spec, index, host), nodeImage(spec)?.reference);
    },
    healthy: async (spec, node, host) => {
      try {
        const { nodeApiToken } = await readSchedulerSecrets(pool, spec);
        return known((await statusOf(spec, node, nodeApiToken, host)).etcd.state === 'running');
      } catch (error) {
        if (!(error instanceof PerijoveError)) throw error;
        // Only a node that does not respond is down; after any other error its state is unknown.
        return error.code === 'NODE_UNREACHABLE' ? known(false) : notKnown(messageOf(error));
      }
    },
    vacate: (spec, node, leaves) => vacate(retirement(spec), node, leaves),
    retire: (spec, task) => retire(retirement(spec), task),
    fence: (spec, task) => fenceOnHosts(pool, spec, task, () => statusOf(spec, task.node, 'none')),
  };
}

/** Until the next `up` hosts have no directory of the secrets of nodes. */
function unplannedCommand(spec: ClusterSpec, index: number, host: HostSpec, facts: LaunchFacts): NodeCommand {
  const { secrets } = hostPaths(host);
  const config = nodeConfig(spec, index, host);
  const environment = environmentOf({ ...config, paths: { ...config.paths, secrets } }, facts);
  const command = { ...nodeCommand(spec, index, host, facts), environment };
  const image = nodeImage(spec);
  return image === undefined ? command : { ...command, image: image.reference, secrets };
}

async function remember(pool: SshPool, spec: ClusterSpec): Promise<NodeMemory | undefined> {
  const trees = await Promise.all(
    hostsWithRole(spec, 'agent').map(async (host) => {
      const connection = await pool.get(host);
      const output = await connection.run(nodeTreesScript(host), { timeoutMs: treesMs });
      return [host.name, observedOn(host.name, parseNodeTrees(output))] as const;
    }),
  );
  return memoryOf(spec, Object.fromEntries(trees));
}

/** Ends the task on every host that may run it. @param ask asks the node itself, without its token */
async function fenceOnHosts(
  pool: SshPool,
  spec: ClusterSpec,
  { node, taskId, host: name }: PresumedTask,
  ask: () => Promise<unknown>,
): Promise<FenceAnswer> {
  // The token is read from hosts that may all be down; a refusal without it is also a response.
  const answersItself = () => answers(ask);
  const fenceOn = async (host: HostSpec): Promise<FenceAnswer> => {
    const { base, bin } = nodeConfig(spec, nodeIndex(node), host).paths;
    const launch = parseTaskId(taskId)?.launch ?? 0;
    const container = spec.nodes.containerizer === 'docker';
    const fenced = { node, base, program: `${bin}/perijove-node`, launch, container };
    return await fenceNode(() => pool.get(host), fenced, answersItself);
  };
  // A task of an agent that its master cannot reach has no known host, so all of them are asked.
  const hosts = spec.hosts.filter(
    (each) => each.name === name || (name === '' && each.roles.includes('agent')),
  );
  if (hosts.length === 0) {
    const why = `the spec no longer contains the host ${name}`;
    return { kind: (await answersItself()) ? 'alive' : 'silent', why };
  }
  return leastSure(await Promise.all(hosts.map(fenceOn)));
}

/** Of several hosts' answers about one node, the one that most forbids a relaunch. */
export function leastSure(answers: readonly FenceAnswer[]): FenceAnswer {
  const kinds = ['alive', 'unclear', 'silent'] as const;
  const [first] = kinds.flatMap((kind) => answers.filter((answer) => answer.kind === kind));
  return first ?? { kind: 'gone' };
}

/** Whether the node responds at all. */
async function answers(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask();
    return true;
  } catch (error) {
    if (!(error instanceof PerijoveError)) throw error;
    return error.code === 'NODE_AUTH_FAILED' || error.code === 'NODE_REFUSED';
  }
}
