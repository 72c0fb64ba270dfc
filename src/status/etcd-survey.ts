/** What the hosts keep of etcd, and whether a quorum responds: what a recovery is decided by. */
import { messageOf, PerijoveError } from '../errors/error.js';
import { hostsWithRole, nodeAddress, nodeNames, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { readEtcdAccess } from '../etcd/access.js';
import { createEtcdClient } from '../etcd/client.js';
import { probeMember } from '../etcd/probe.js';
import type { EtcdSurvey, SurveyedNode } from '../etcd/recovery.js';
import { epochOf } from '../etcd/term.js';
import { verdict } from '../etcd/verdict.js';
import { observedOn } from '../hosts/observation.js';
import { within } from '../net/deadline.js';
import { etcdTreesScript, parseEtcdTrees, type EtcdTree } from '../node/etcd-trees.js';
import { nodeTreesScript, parseNodeTrees } from '../node/memory.js';
import type { SshPool } from '../ssh/connection.js';
import { sshReach } from '../ssh/reach.js';
import type { FrameworkState, KeeperState } from '../temporal/contract.js';

const connectMs = 15_000;
const readMs = 60_000;
const askMs = 2_000;
/** A quorum that does not respond once may be electing, or busy. */
const asks = 3;

/** What the workflows of a cluster know of its etcd. */
export interface Knowledge {
  /** Nodes whose tasks run. */
  readonly running: readonly string[];
  /** The highest epoch. */
  readonly epoch: number;
}

export function knowledgeOf(
  framework: FrameworkState | undefined,
  keeper: KeeperState | undefined,
): Knowledge {
  const running = Object.values(framework?.tasks ?? {}).filter(({ state }) => state === 'TASK_RUNNING');
  return {
    running: running.map(({ node }) => node),
    epoch: Math.max(framework?.etcdEpoch ?? 0, epochOf(keeper?.verdict?.term ?? 0)),
  };
}

export async function surveyEtcd(
  pool: SshPool,
  spec: ClusterSpec,
  { running, epoch }: Knowledge,
): Promise<EtcdSurvey> {
  const attempts = await Promise.all(
    hostsWithRole(spec, 'agent').map(async (host) => {
      try {
        return { host, trees: await treesOn(pool, host) };
      } catch (error) {
        if (!(error instanceof PerijoveError)) throw error;
        return { host, why: `${messageOf(error)} (${error.code})` };
      }
    }),
  );
  const readable = attempts.flatMap(({ host, trees = [] }) =>
    trees.map((tree) => ({ host: host.name, ...tree })),
  );
  const hosts = attempts.flatMap(({ host, trees }) => (trees === undefined ? [] : [host]));
  const leader = await leaderThrough(pool, spec, hosts);
  return {
    nodes: nodeNames(spec).map((node) => newestOf(node, readable, running.includes(node))),
    epoch,
    unread: attempts.flatMap(({ host, why }) => (why === undefined ? [] : [{ host: host.name, why }])),
    ...(leader !== undefined && { leader }),
  };
}

interface HostTree extends EtcdTree {
  readonly launch: number;
}

async function treesOn(pool: SshPool, host: HostSpec): Promise<readonly HostTree[]> {
  const connection = await within(
    connectMs,
    pool.get(host),
    () => new PerijoveError('SSH_TIMEOUT', `no answer within ${connectMs / 1000} s`, { host: host.name }),
  );
  const launched = observedOn(
    host.name,
    parseNodeTrees(await connection.run(nodeTreesScript(host), { timeoutMs: readMs })),
  );
  const kept = observedOn(
    host.name,
    parseEtcdTrees(await connection.run(etcdTreesScript(host), { timeoutMs: readMs })),
  );
  return kept.map((tree) => ({
    ...tree,
    launch: launched.find(({ node }) => node === tree.node)?.launch ?? 0,
  }));
}

/** A node's data are those of its last launch: an older tree is of a member that was replaced. */
function newestOf(
  node: string,
  trees: readonly (HostTree & { readonly host: string })[],
  runs: boolean,
): SurveyedNode {
  const [newest] = trees
    .filter((tree) => tree.node === node)
    .toSorted(
      (a, b) => b.launch - a.launch || Number(b.data.kind !== 'none') - Number(a.data.kind !== 'none'),
    );
  if (newest === undefined) return { node, epoch: 0, data: { kind: 'none' }, runs };
  const { host, epoch, data } = newest;
  return { node, host, epoch, data, runs };
}

async function leaderThrough(
  pool: SshPool,
  spec: ClusterSpec,
  hosts: readonly HostSpec[],
): Promise<string | undefined> {
  if (hosts.length === 0) return undefined;
  const reach = sshReach(pool, { hosts });
  const access = await readEtcdAccess(pool, { ...spec, hosts });
  const members = await Promise.all(
    nodeNames(spec).map(async (node, index) => ({
      node,
      client: createEtcdClient(await reach.any(nodeAddress(spec, index), spec.etcd.clientPort), {
        deadlineMs: askMs,
        access,
      }),
    })),
  );
  try {
    for (let ask = 0; ask < asks; ask += 1) {
      const found = verdict(await Promise.all(members.map(({ node, client }) => probeMember(node, client))));
      if (found.kind === 'verdict') return found.verdict.leader;
    }
    return undefined;
  } finally {
    for (const { client } of members) client.close();
  }
}
