import { Context } from '@temporalio/activity';
import { PerijoveError, messageOf } from '../errors/error.js';
import { leadingMaster, registeredMasters, type MasterInfo } from '../mesos/detector.js';
import { hostAttribute } from '../mesos/items.js';
import { masterReach } from '../mesos/master-http.js';
import { masterLeader, masterState, type AgentInfo, type OperatorOptions } from '../mesos/operator-client.js';
import { readMesosCredential } from '../mesos/secrets.js';
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../spec/cluster.js';
import { sshReach, type Reach } from '../ssh/reach.js';
import type { ActivityDeps } from './deps.js';
import type { ServiceMember } from './members.js';
import { until } from './poll.js';

export interface MesosInput {
  readonly spec: ClusterSpec;
}

export function createMesosActivities({ pool }: Pick<ActivityDeps, 'pool'>) {
  const optionsFor = async (spec: ClusterSpec): Promise<OperatorOptions> => {
    const credential = await readMesosCredential(pool, spec);
    return credential === undefined ? {} : { credential };
  };

  return {
    /** Which masters take part in the election now, wherever their present configuration has them listen. */
    masterMembers: async ({ spec }: MesosInput): Promise<readonly ServiceMember[]> => {
      const registered = await registeredOrNone(sshReach(pool, spec), spec);
      const [leader] = registered;
      return hostsWithRole(spec, 'master').map((host) => {
        const isOf = (info: MasterInfo | undefined) => info?.address.ip === host.address;
        const state = isOf(leader) ? 'leading' : registered.some(isOf) ? 'up' : 'down';
        return { host: host.name, state };
      });
    },

    /**
     * Resolves when every master answers, all name the same leader, and the leader serves its state.
     *
     * @throws PerijoveError MASTERS_DISAGREE after two minutes
     */
    awaitMasters: async ({ spec }: MesosInput): Promise<{ readonly leader: string }> => {
      const { cancellationSignal: signal } = Context.current();
      const reach = sshReach(pool, spec);
      const options = { ...(await optionsFor(spec)), signal };
      const masters = hostsWithRole(spec, 'master');
      return until(async () => {
        const views = await Promise.all(masters.map((host) => viewOf(reach, host, options)));
        const disagreement = disagreementOf(views);
        if (disagreement !== undefined) return { not: disagreement };
        try {
          const { leader } = await stateOfLeader(reach, spec, options);
          return { done: { leader } };
        } catch (error) {
          return { not: notYet('MASTERS_DISAGREE', error) };
        }
      });
    },

    /** Which agents are registered and active at the leading master, whatever ports they have now. */
    agentMembers: async ({ spec }: MesosInput): Promise<readonly ServiceMember[]> => {
      const reach = sshReach(pool, spec);
      const { agents } = await stateOfLeader(reach, spec, await optionsFor(spec));
      return hostsWithRole(spec, 'agent').map((host) => ({
        host: host.name,
        state: agentOf(agents, host) === undefined ? 'down' : 'up',
      }));
    },

    /**
     * Resolves when the agent of every host is registered and active, at the host's address and port.
     *
     * @throws PerijoveError AGENT_NOT_REGISTERED after two minutes
     */
    awaitAgents: async ({ spec }: MesosInput): Promise<void> => {
      const { cancellationSignal: signal } = Context.current();
      const reach = sshReach(pool, spec);
      const options = { ...(await optionsFor(spec)), signal };
      await until(async () => {
        try {
          const { agents } = await stateOfLeader(reach, spec, options);
          const missing = hostsWithRole(spec, 'agent').filter((host) => {
            const agent = agentOf(agents, host);
            return agent?.address !== host.address || agent.port !== host.ports.agent;
          });
          const [first] = missing;
          if (first === undefined) return { done: undefined };
          const names = missing.map((host) => host.name).join(', ');
          return {
            not: new PerijoveError('AGENT_NOT_REGISTERED', `not registered: the agent of ${names}`, {
              host: first.name,
            }),
          };
        } catch (error) {
          return { not: notYet('AGENT_NOT_REGISTERED', error) };
        }
      });
    },
  };
}

function agentOf(agents: readonly AgentInfo[], host: HostSpec): AgentInfo | undefined {
  return agents.find((agent) => agent.active && agent.attributes[hostAttribute] === host.name);
}

/** Without an ensemble, no master can have been elected. */
async function registeredOrNone(reach: Reach, spec: ClusterSpec): Promise<MasterInfo[]> {
  try {
    return await registeredMasters(reach, spec);
  } catch (error) {
    if (error instanceof PerijoveError && error.code === 'ZOOKEEPER_UNREACHABLE') return [];
    throw error;
  }
}

/** Whom one master holds for the leader. */
export interface MasterView {
  readonly host: string;
  /** `address:port`; absent when it knows none, or does not answer. */
  readonly leader?: string;
}

async function viewOf(reach: Reach, host: HostSpec, options: OperatorOptions): Promise<MasterView> {
  try {
    const leader = await masterLeader(await reach.via(host.name, host.address, host.ports.master), {
      ...options,
      timeoutMs: 2_000,
    });
    return { host: host.name, ...(leader === undefined ? {} : { leader: `${leader.host}:${leader.port}` }) };
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof PerijoveError) return { host: host.name };
    throw error;
  }
}

/** Why the masters are not of one mind; undefined when they are. */
export function disagreementOf(views: readonly MasterView[]): PerijoveError | undefined {
  const undecided = views.filter((view) => view.leader === undefined).map((view) => view.host);
  const [host] = undecided;
  if (host !== undefined) {
    return new PerijoveError('MASTERS_DISAGREE', `${undecided.join(', ')}: no answer, or no leader known`, {
      host,
    });
  }
  if (new Set(views.map((view) => view.leader)).size === 1) return undefined;
  const said = views.map((view) => `${view.host} names ${view.leader ?? ''}`);
  return new PerijoveError('MASTERS_DISAGREE', said.join(', '));
}

async function stateOfLeader(reach: Reach, spec: ClusterSpec, options: OperatorOptions) {
  const leader = await leadingMaster(reach, spec);
  if (leader === undefined) throw new PerijoveError('MASTERS_DISAGREE', 'no master leads');
  const { ip, port } = leader.address;
  return masterState(await masterReach(spec, reach)({ host: ip, port }), options);
}

function notYet(code: 'MASTERS_DISAGREE' | 'AGENT_NOT_REGISTERED', error: unknown): PerijoveError {
  // What no waiting heals ends the wait.
  if (!(error instanceof PerijoveError) || !error.retryable) throw error;
  return new PerijoveError(code, messageOf(error), { ...error.place, cause: error });
}
