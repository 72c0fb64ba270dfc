import { WorkflowNotFoundError } from '@temporalio/client';
import { hostOf } from '../cluster/host-of.js';
import { hostsWithRole, nodeAddress, nodeNames, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { messageOf, PerijoveError } from '../errors/error.js';
import { readEtcdAccess } from '../etcd/access.js';
import { createEtcdClient, type EtcdClient } from '../etcd/client.js';
import { probeMember } from '../etcd/probe.js';
import { decideRecovery, type RecoveryPlan } from '../etcd/recovery.js';
import { epochOf } from '../etcd/term.js';
import { verdict } from '../etcd/verdict.js';
import { raiseEpochScript, seedScript } from '../node/etcd-trees.js';
import type { SshPool } from '../ssh/connection.js';
import { sshReach } from '../ssh/reach.js';
import { knowledgeOf, surveyEtcd } from '../status/etcd-survey.js';
import {
  raiseEtcdEpoch,
  workflowIds,
  type RecoveryInput,
  type RecoveryResult,
} from '../temporal/contract.js';
import { askToDo } from './asking.js';
import type { ActivityDeps } from './deps.js';
import { noteAtKeeper } from './incidents.js';
import { until, type PollResult } from './poll.js';
import { frameworkStateOf, keeperStateOf } from './workflow-state.js';

type PlannedInput = Pick<RecoveryInput, 'spec' | 'plan'>;
type Joined = Omit<RecoveryResult, 'epoch'>;

/** On a machine that is twenty times slower, etcd starts within a minute. */
const beginMs = 4 * 60_000;
const joinMs = 8 * 60_000;
const scriptMs = 30_000;
const askMs = 2_000;

type RecoveryDeps = Pick<ActivityDeps, 'client' | 'pool' | 'logger'>;

export function createRecoveryActivities(deps: RecoveryDeps) {
  const { client, pool } = deps;
  return {
    /** @throws PerijoveError ETCD_RECOVERY_CHANGED, or the code of a refusal (`decideRecovery`) */
    confirmRecovery: (input: RecoveryInput): Promise<void> => confirm(deps, input),

    /** The node of the plan begins the epoch. Repeated, it does nothing once the epoch has begun. */
    beginEpoch: async ({ spec, plan }: PlannedInput): Promise<void> => {
      const host = hostOf(spec, plan.host);
      const connection = await pool.get(host);
      await connection.run(seedScript(host, plan), { timeoutMs: scriptMs });
    },

    /** Resolves when etcd has a leader in the epoch. @throws PerijoveError ETCD_RECOVERY_FAILED */
    awaitEpoch: ({ spec, plan }: PlannedInput): Promise<{ readonly leader: string }> =>
      withMembers(pool, spec, (members) => until(() => begun(members, plan), { deadlineMs: beginMs })),

    /**
     * Nodes that are launched, or start again, are told of the epoch before they find another member. Those on
     * hosts that cannot be reached learn of it when they do.
     */
    spreadEpoch: async ({ spec, plan: { epoch } }: PlannedInput): Promise<void> => {
      await askToDo(client, workflowIds.framework(spec.name), (handle, updateId) =>
        handle.executeUpdate(raiseEtcdEpoch, { args: [epoch], updateId }),
      ).catch((error: unknown) => {
        if (!(error instanceof WorkflowNotFoundError)) throw error;
      });
      await Promise.all(hostsWithRole(spec, 'agent').map((host) => noteEpoch(deps, host, epoch)));
    },

    /** Resolves when every node that was not given up votes, or some minutes later with those that do. */
    awaitMembers: async ({ spec, plan, lost }: RecoveryInput): Promise<Joined> => {
      const tasks = (await frameworkStateOf(client, spec))?.tasks ?? {};
      const expected = nodeNames(spec).filter(
        (node) => !lost.includes(node) && !lost.includes(tasks[node]?.host ?? ''),
      );
      return withMembers(pool, spec, (members) => joined(members, plan.epoch, expected));
    },

    /** Tells the keeper, for `status`. Does nothing without one. */
    noteRecovery: async ({ spec, plan, at }: PlannedInput & { readonly at: string }): Promise<void> => {
      const incident = { at, what: incidentText(plan), tookMs: Math.max(0, Date.now() - Date.parse(at)) };
      await noteAtKeeper(client, spec, incident).catch((error: unknown) => {
        if (!(error instanceof PerijoveError && error.code === 'KEEPER_ABSENT')) throw error;
      });
    },
  };
}

async function confirm({ client, pool }: RecoveryDeps, { spec, plan, lost }: RecoveryInput): Promise<void> {
  const [framework, keeper] = await Promise.all([
    frameworkStateOf(client, spec),
    keeperStateOf(client, spec),
  ]);
  const survey = await surveyEtcd(pool, spec, knowledgeOf(framework, keeper));
  const decision = decideRecovery(survey, lost);
  if (decision.kind === 'refuse') {
    const { code, reason, remedy } = decision;
    throw new PerijoveError(code, reason, remedy === undefined ? {} : { remedy });
  }
  const { epoch, seed, host, from } = decision.plan;
  if (epoch !== plan.epoch || seed !== plan.seed || host !== plan.host || from !== plan.from) {
    throw new PerijoveError('ETCD_RECOVERY_CHANGED', `etcd would begin epoch ${epoch} with ${seed} now`);
  }
}

/** A host that does not respond is left out. */
async function noteEpoch({ pool, logger }: RecoveryDeps, host: HostSpec, epoch: number): Promise<void> {
  try {
    const connection = await pool.get(host);
    await connection.run(raiseEpochScript(host, epoch), { timeoutMs: scriptMs });
  } catch (error) {
    if (!(error instanceof PerijoveError)) throw error;
    logger.warn({ host: host.name, reason: messageOf(error) }, 'the epoch of etcd is not noted');
  }
}

async function begun(
  members: readonly MemberClient[],
  { epoch, seed }: RecoveryPlan,
): Promise<PollResult<{ readonly leader: string }>> {
  const found = await leaderOf(members, epoch);
  if (typeof found === 'object') return { done: { leader: found.leader } };
  const why = `${seed} does not lead etcd yet: ${found}`;
  return { not: new PerijoveError('ETCD_RECOVERY_FAILED', why, { subject: seed }) };
}

async function joined(
  members: readonly MemberClient[],
  epoch: number,
  expected: readonly string[],
): Promise<Joined> {
  let last: Joined | undefined;
  const look = async (): Promise<PollResult<Joined>> => {
    const found = await leaderOf(members, epoch);
    if (typeof found === 'string') return { not: new PerijoveError('ETCD_NOT_WHOLE', found) };
    const { leader, voters } = found;
    const missing = expected.filter((node) => !voters.includes(node));
    last = { leader, members: voters, missing };
    if (missing.length === 0) return { done: last };
    return { not: new PerijoveError('ETCD_NOT_WHOLE', `etcd waits for ${missing.join(', ')} to join`) };
  };
  return await until(look, { deadlineMs: joinMs, everyMs: 500 }).catch((error: unknown) => {
    if (error instanceof PerijoveError && last !== undefined) return last;
    throw error;
  });
}

interface MemberClient {
  readonly node: string;
  readonly etcd: EtcdClient;
}

async function withMembers<T>(
  pool: SshPool,
  spec: ClusterSpec,
  work: (members: readonly MemberClient[]) => Promise<T>,
): Promise<T> {
  const reach = sshReach(pool, spec);
  const access = await readEtcdAccess(pool, spec);
  const members = await Promise.all(
    nodeNames(spec).map(async (node, index) => ({
      node,
      etcd: createEtcdClient(await reach.any(nodeAddress(spec, index), spec.etcd.clientPort), {
        deadlineMs: askMs,
        access,
      }),
    })),
  );
  try {
    return await work(members);
  } finally {
    for (const { etcd } of members) etcd.close();
  }
}

/** Who leads in the epoch, and the nodes whose members vote; or why nobody is known to lead. */
async function leaderOf(
  members: readonly MemberClient[],
  epoch: number,
): Promise<{ readonly leader: string; readonly voters: readonly string[] } | string> {
  const finding = verdict(await Promise.all(members.map(({ node, etcd }) => probeMember(node, etcd))));
  if (finding.kind === 'none') return finding.reason;
  const { leader, term } = finding.verdict;
  if (epochOf(term) < epoch) return `${leader} leads in epoch ${epochOf(term)}`;
  const through = members.find(({ node }) => node === leader);
  if (through === undefined) return `${leader} is not a node of this cluster`;
  try {
    const { members: listed } = await through.etcd.memberList();
    return { leader, voters: listed.filter(({ learner }) => !learner).map(({ name }) => name) };
  } catch (error) {
    return messageOf(error);
  }
}

function incidentText({ epoch, seed, from }: RecoveryPlan): string {
  const how = from === 'data' ? `with the data of ${seed}` : `without data, on ${seed}`;
  return `etcd had lost its quorum and was recovered ${how}: epoch ${epoch}`;
}
