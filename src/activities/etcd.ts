import { WorkflowUpdateFailedError } from '@temporalio/client';
import { PerijoveError, messageOf } from '../errors/error.js';
import { readEtcdAccess } from '../etcd/access.js';
import { createEtcdClient, type EtcdClient } from '../etcd/client.js';
import { peerUrl } from '../etcd/command.js';
import { hasStarted, type Member, type Membership } from '../etcd/members.js';
import { probeMember } from '../etcd/probe.js';
import { strayMembers } from '../etcd/retire.js';
import { verdict } from '../etcd/verdict.js';
import { nodeIndex } from '../mesos/scheduler/launch.js';
import { kindOf } from '../mesos/scheduler/tasks.js';
import { nodeAddress, nodeNames, type ClusterSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import { sshReach } from '../ssh/reach.js';
import { retryScheduler, workflowIds, type FrameworkState } from '../temporal/contract.js';
import type { ActivityDeps } from './deps.js';
import { until } from './poll.js';
import { askToDo } from './asking.js';
import { frameworkStateOf, schedulerFailed } from './workflow-state.js';

export interface EtcdInput {
  readonly spec: ClusterSpec;
}

const removeMs = 5_000;

export function createEtcdActivities({
  client,
  pool,
  logger,
}: Pick<ActivityDeps, 'client' | 'pool' | 'logger'>) {
  const awaitEtcd = async (
    spec: ClusterSpec,
    names: readonly string[] = nodeNames(spec),
  ): Promise<{ readonly leader: string }> => {
    const members = await membersOf(pool, spec, names);
    try {
      return await until(async () => {
        const probes = await Promise.all(members.map((member) => probeMember(member.name, member.client)));
        const silent = probes.filter((probe) => !probe.ok).map((probe) => probe.node);
        if (silent.length > 0) return { not: notWhole(`no response from ${silent.join(', ')}`, silent[0]) };
        const finding = verdict(probes);
        if (finding.kind === 'none') return { not: notWhole(finding.reason) };
        const { leader } = finding.verdict;
        const through = members.find((member) => member.name === leader)?.client;
        const membership = await membershipOf(through);
        const missing = missingMembers(names, membership);
        if (missing === undefined) return { done: { leader } };
        // Every node responds, so the quorum does not need the others.
        if (typeof membership !== 'string' && through !== undefined)
          await removeStrays(spec, membership, through);
        return { not: notWhole(missing) };
      });
    } finally {
      for (const member of members) member.client.close();
    }
  };

  /** Members of nodes that ended before they had left etcd. */
  const removeStrays = async (spec: ClusterSpec, { members }: Membership, through: EtcdClient) => {
    for (const { id, name } of straysOf(spec, members, (await frameworkStateOf(client, spec))?.tasks)) {
      logger.warn({ memberId: id, name }, 'removing a member that belongs to no node');
      await through.memberRemove(id, { deadlineMs: removeMs }).catch((error: unknown) => {
        // The next poll asks again, and reports what is missing.
        if (!(error instanceof PerijoveError)) throw error;
      });
    }
  };

  const wasFormed = async (spec: ClusterSpec): Promise<boolean> => {
    return (await frameworkStateOf(client, spec))?.etcdFormed ?? false;
  };

  return {
    /**
     * Resolves when every node has a started, healthy member, and there are no others: members of nodes that
     * the spec does not have, and that have no task, are removed.
     *
     * @throws PerijoveError ETCD_NOT_WHOLE after two minutes
     */
    awaitEtcd: ({ spec }: EtcdInput): Promise<{ readonly leader: string }> => awaitEtcd(spec),

    /**
     * The same for the nodes that were launched before: others come with a later stage. Resolves at once if etcd was
     * never complete, as before the first deployment's etcd stage. A scheduler that gave up is started again first.
     *
     * @throws PerijoveError ETCD_NOT_WHOLE after two minutes, FRAMEWORK_FAILED if the scheduler has given up again
     */
    awaitFormedEtcd: async ({ spec }: EtcdInput): Promise<void> => {
      if (!(await wasFormed(spec))) return;
      await retryScheduling({ client, logger }, spec);
      try {
        await awaitEtcd(spec, launchedNodes(spec, await frameworkStateOf(client, spec)));
      } catch (error) {
        const failure = (await frameworkStateOf(client, spec))?.failure;
        if (failure !== undefined) throw schedulerFailed(failure);
        throw error;
      }
    },
  };
}

async function membersOf(pool: SshPool, spec: ClusterSpec, names: readonly string[]) {
  const reach = sshReach(pool, spec);
  const access = await readEtcdAccess(pool, spec);
  return Promise.all(
    names.map(async (name) => {
      const endpoint = await reach.any(nodeAddress(spec, nodeIndex(name)), spec.etcd.clientPort);
      return { name, client: createEtcdClient(endpoint, { access }) };
    }),
  );
}

/** Those that have a task; all nodes where none has. */
function launchedNodes(spec: ClusterSpec, framework: FrameworkState | undefined): readonly string[] {
  const launched = nodeNames(spec).filter((name) => framework?.tasks[name] !== undefined);
  return launched.length > 0 ? launched : nodeNames(spec);
}

/** Dead nodes come back by the scheduler alone, which a later stage would hand the spec to. */
async function retryScheduling(
  { client, logger }: Pick<ActivityDeps, 'client' | 'logger'>,
  spec: ClusterSpec,
): Promise<void> {
  if ((await frameworkStateOf(client, spec))?.failure === undefined) return;
  logger.info('starting the scheduler again, which gave up');
  await askToDo(client, workflowIds.framework(spec.name), (handle, updateId) =>
    handle.executeUpdate(retryScheduler, { updateId }),
  ).catch((error: unknown) => {
    // A framework of an earlier release does not know the update.
    if (!(error instanceof WorkflowUpdateFailedError)) throw error;
  });
}

async function membershipOf(client: EtcdClient | undefined): Promise<Membership | string> {
  try {
    if (client === undefined) return 'the leader is not a node of this cluster';
    await client.linearizableRead();
    return await client.memberList();
  } catch (error) {
    return messageOf(error);
  }
}

/** Members without a node in the spec and without a task. None if no framework runs: nodes may outlive it. */
export function straysOf(
  spec: ClusterSpec,
  members: readonly Member[],
  tasks: FrameworkState['tasks'] | undefined,
): Member[] {
  if (tasks === undefined) return [];
  const kept = Object.values(tasks)
    .filter(({ state }) => kindOf(state) !== 'terminal')
    .map(({ node }) => node);
  const wanted = [...nodeNames(spec), ...kept].map((name) => ({
    name,
    peerUrl: peerUrl({ address: nodeAddress(spec, nodeIndex(name)), peerPort: spec.etcd.peerPort }),
  }));
  return strayMembers(members, wanted);
}

/** What a membership lacks to match `names`; undefined when it lacks nothing. */
export function missingMembers(
  names: readonly string[],
  membership: Membership | string,
): string | undefined {
  if (typeof membership === 'string') return membership;
  const { members } = membership;
  const started = new Set(members.filter(hasStarted).map((member) => member.name));
  const missing = names.filter((name) => !started.has(name));
  if (missing.length > 0) return `no started member for ${missing.join(', ')}`;
  const surplus = members.filter((member) => !hasStarted(member) || !names.includes(member.name));
  if (surplus.length > 0) {
    return `members that belong to no node: ${surplus.map((member) => member.name || member.id).join(', ')}`;
  }
  const learners = members.filter((member) => member.learner).map((member) => member.name);
  return learners.length > 0 ? `still learners: ${learners.join(', ')}` : undefined;
}

function notWhole(reason: string, node?: string): PerijoveError {
  return new PerijoveError('ETCD_NOT_WHOLE', reason, node === undefined ? {} : { subject: node });
}
