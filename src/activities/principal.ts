import { Context } from '@temporalio/activity';
import { hostsWithRole, type ClusterSpec } from '../cluster/spec.js';
import { PerijoveError } from '../errors/error.js';
import type { Change } from '../hosts/items.js';
import { hostServices } from '../hosts/services.js';
import { agentService, masterService } from '../mesos/installation/items.js';
import { readMesosSecrets } from '../mesos/installation/secrets.js';
import { masterAt } from '../mesos/masters/http.js';
import type { FrameworkFacts, MasterState } from '../mesos/masters/operator-client.js';
import { isOurs } from '../mesos/scheduler/launch.js';
import type { SshPool } from '../ssh/connection.js';
import { sshReach } from '../ssh/reach.js';
import type { ActivityDeps } from './deps.js';
import { notYet, stateOfLeader } from './mesos.js';
import { until } from './poll.js';

/** Several times an election, and with all attempts well below the 15 minutes that tasks wait for agents. */
const electedMs = 60_000;

export interface PrincipalInput {
  readonly spec: ClusterSpec;
}

/*
 * Mesos never changes the principal of a framework: a master keeps the one that the framework or, after an election, an
 * agent told it first. It refuses calls by any other. So a framework gets another principal when a master is elected
 * while no agent is there to tell the former one; tasks run on without agents.
 */
export function createPrincipalActivities({ pool }: Pick<ActivityDeps, 'pool'>) {
  return {
    /**
     * Whether the leading master has the cluster's framework under another principal than the spec's.
     *
     * @throws PerijoveError MASTERS_DISAGREE, MESOS_UNREACHABLE, MESOS_CREDENTIAL_REFUSED, SSH_*
     */
    principalDiffers: async ({ spec }: PrincipalInput): Promise<boolean> =>
      differs(spec, await leaderState(pool, spec)),

    /**
     * Stops the agents, and restarts leading masters until one is elected that does not know the framework by
     * another principal. May be repeated. `startAgents` must follow within the 15 minutes that tasks wait for agents.
     *
     * @throws PerijoveError MASTERS_DISAGREE after a minute, SERVICE_FAILED, SSH_*
     */
    forgetPrincipal: ({ spec }: PrincipalInput): Promise<void> => forgetPrincipal(pool, spec),

    /** Resolves when the framework is connected with the spec's principal. @throws PerijoveError MASTERS_DISAGREE */
    awaitPrincipal: ({ spec }: PrincipalInput): Promise<void> =>
      awaitState(pool, spec, 'the framework has not connected with its new principal', async (state) => {
        const isConnected = ourFrameworks(spec, state).some(({ connected }) => connected);
        return isConnected && !differs(spec, state);
      }),

    /** Starts the agents that `forgetPrincipal` stopped. @throws PerijoveError SERVICE_FAILED, SSH_* */
    startAgents: async ({ spec }: PrincipalInput): Promise<readonly Change[]> => {
      await onAgents(pool, spec, (services) => services.start(agentService));
      const principal = spec.mesos.principal ?? '';
      return hostsWithRole(spec, 'agent').map(({ name }) => ({
        host: name,
        what: `restarted the Mesos agent, so that masters accept the principal ${principal} of the framework`,
      }));
    },
  };
}

async function leaderState(pool: SshPool, spec: ClusterSpec): Promise<MasterState> {
  const { cancellationSignal: signal } = Context.current();
  return stateOfLeader(pool, sshReach(pool, spec), spec, await readMesosSecrets(pool, spec), signal);
}

function ourFrameworks(spec: ClusterSpec, { frameworks }: MasterState): readonly FrameworkFacts[] {
  return frameworks.filter((each) => isOurs(spec, each));
}

/** Open masters accept every principal. */
function differs(spec: ClusterSpec, state: MasterState): boolean {
  const { principal } = spec.mesos;
  return principal !== undefined && ourFrameworks(spec, state).some((each) => each.principal !== principal);
}

async function forgetPrincipal(pool: SshPool, spec: ClusterSpec): Promise<void> {
  await onAgents(pool, spec, (services) => services.stop(agentService));
  const restarted = new Set<string>();
  await awaitState(pool, spec, 'the masters still know the framework by another principal', async (state) => {
    if (!differs(spec, state)) return true;
    const election = `${state.leader} ${state.electedAt}`;
    if (!restarted.has(election)) await restartLeader(pool, spec, state);
    restarted.add(election);
    return false;
  });
}

async function restartLeader(pool: SshPool, spec: ClusterSpec, { leader }: MasterState): Promise<void> {
  const [, name = '', port = ''] = /^master@(.+):(\d+)$/.exec(leader) ?? [];
  const host = masterAt(spec, { host: name, port: Number(port) });
  if (host === undefined) throw new PerijoveError('MASTERS_DISAGREE', `${leader} is no master of the spec`);
  await (await hostServices(await pool.get(host), spec.name)).restart(masterService);
}

async function onAgents(
  pool: SshPool,
  spec: ClusterSpec,
  act: (services: Awaited<ReturnType<typeof hostServices>>) => Promise<void>,
): Promise<void> {
  await Promise.all(
    hostsWithRole(spec, 'agent').map(async (host) =>
      act(await hostServices(await pool.get(host), spec.name)),
    ),
  );
}

/** Errors of a master that is being replaced are waited for. */
async function awaitState(
  pool: SshPool,
  spec: ClusterSpec,
  otherwise: string,
  isReached: (state: MasterState) => Promise<boolean>,
): Promise<void> {
  await until(
    async () => {
      try {
        if (await isReached(await leaderState(pool, spec))) return { done: undefined };
        return { not: new PerijoveError('MASTERS_DISAGREE', otherwise) };
      } catch (error) {
        return { not: notYet('MASTERS_DISAGREE', error) };
      }
    },
    { deadlineMs: electedMs },
  );
}
