import { PerijoveError, messageOf } from '../errors/error.js';
import { createEtcdClient, type EtcdClient } from '../etcd/client.js';
import { hasStarted, type Membership } from '../etcd/members.js';
import { probeMember } from '../etcd/probe.js';
import { verdict } from '../etcd/verdict.js';
import { nodeAddress, nodeNames, type ClusterSpec } from '../spec/cluster.js';
import { sshReach } from '../ssh/reach.js';
import { frameworkState, workflowIds } from '../temporal/contract.js';
import type { ActivityDeps } from './deps.js';
import { until } from './poll.js';
import { isRunning } from './running.js';

export interface EtcdInput {
  readonly spec: ClusterSpec;
}

export function createEtcdActivities({ client, pool }: Pick<ActivityDeps, 'client' | 'pool'>) {
  const awaitEtcd = async (spec: ClusterSpec): Promise<{ readonly leader: string }> => {
    const reach = sshReach(pool, spec);
    const names = nodeNames(spec);
    const members = await Promise.all(
      names.map(async (name, index) => ({
        name,
        client: createEtcdClient(await reach.any(nodeAddress(spec, index), spec.etcd.clientPort)),
      })),
    );
    try {
      return await until(async () => {
        const probes = await Promise.all(members.map((member) => probeMember(member.name, member.client)));
        const silent = probes.filter((probe) => !probe.ok).map((probe) => probe.node);
        if (silent.length > 0) return { not: notWhole(`no answer from ${silent.join(', ')}`, silent[0]) };
        const finding = verdict(probes);
        if (finding.kind === 'none') return { not: notWhole(finding.reason) };
        const { leader } = finding.verdict;
        const lack = lackOf(
          names,
          await membershipOf(members.find((member) => member.name === leader)?.client),
        );
        return lack === undefined ? { done: { leader } } : { not: notWhole(lack) };
      });
    } finally {
      for (const member of members) member.client.close();
    }
  };

  const wasFormed = async (spec: ClusterSpec): Promise<boolean> => {
    const workflowId = workflowIds.framework(spec.name);
    if (!(await isRunning(client, workflowId))) return false;
    return (await client.workflow.getHandle(workflowId).query(frameworkState)).etcdFormed;
  };

  return {
    /**
     * Resolves when every node has a started, healthy member, and nobody else is one.
     *
     * @throws PerijoveError ETCD_NOT_WHOLE after two minutes
     */
    awaitEtcd: ({ spec }: EtcdInput): Promise<{ readonly leader: string }> => awaitEtcd(spec),

    /** The same, and at once where etcd was never whole: before the first deployment has come that far. */
    awaitFormedEtcd: async ({ spec }: EtcdInput): Promise<void> => {
      if (await wasFormed(spec)) await awaitEtcd(spec);
    },
  };
}

async function membershipOf(client: EtcdClient | undefined): Promise<Membership | string> {
  try {
    if (client === undefined) return 'the leader is no node';
    await client.linearizableRead();
    return await client.memberList();
  } catch (error) {
    return messageOf(error);
  }
}

/** What a membership lacks to be that of `names`; undefined when it lacks nothing. */
export function lackOf(names: readonly string[], membership: Membership | string): string | undefined {
  if (typeof membership === 'string') return membership;
  const { members } = membership;
  const started = new Set(members.filter(hasStarted).map((member) => member.name));
  const missing = names.filter((name) => !started.has(name));
  if (missing.length > 0) return `no started member for ${missing.join(', ')}`;
  const surplus = members.filter((member) => !hasStarted(member) || !names.includes(member.name));
  if (surplus.length > 0) {
    return `members of no node: ${surplus.map((member) => member.name || member.id).join(', ')}`;
  }
  const learners = members.filter((member) => member.learner).map((member) => member.name);
  return learners.length > 0 ? `still learning: ${learners.join(', ')}` : undefined;
}

function notWhole(reason: string, node?: string): PerijoveError {
  return new PerijoveError('ETCD_NOT_WHOLE', reason, node === undefined ? {} : { subject: node });
}
