/** Chooses a drill's target from the current role holders. Pure. */
import { PerijoveError } from '../errors/error.js';
import { brickHosts, hostsWithRole, majority, nodeNames, type ClusterSpec } from '../cluster/spec.js';
import type { DrillDefinition } from './definition.js';
import { leaderOf } from '../mesos/masters/agreement.js';
import type { Roles } from './roles.js';

export interface TargetRequest {
  /** Target name. */
  readonly target?: string;
  /** Any number: selects one of the candidates. */
  readonly pick?: number;
}

/** Workers have no names; they are identified by what they run. */
const workerTargets = ['scheduler', 'keeper'] as const;

/** All possible targets now, the usual one first. */
export function candidates(definition: DrillDefinition, roles: Roles, spec: ClusterSpec): readonly string[] {
  switch (definition.target) {
    case 'leader':
      return [roles.leader];
    case 'follower':
      return nodeNames(spec).filter((node) => node !== roles.leader);
    case 'serving':
      return [roles.serving];
    case 'proxy':
      return hostsWithRole(spec, 'proxy').map(({ name }) => name);
    case 'host':
      return byLeader(
        roles,
        spec.hosts.map(({ name }) => name),
      );
    case 'worker':
      return workerTargets;
    case 'zookeeper-leader':
      return roles.zookeeperLeader === undefined ? [] : [roles.zookeeperLeader];
    case 'master-leader': {
      const leader = roles.mesos && leaderOf(roles.mesos.masters);
      return leader === undefined ? [] : [leader];
    }
    case 'agent': {
      const hosts = new Set(Object.values(roles.hostOf));
      return byLeader(
        roles,
        hostsWithRole(spec, 'agent').map(({ name }) => name),
      ).filter((host) => hosts.has(host));
    }
    case 'brick':
      return brickHosts(spec).map(({ name }) => name);
    case 'standby':
      return nodeNames(spec).filter((node) => node !== roles.serving);
    case 'kernel':
      return spec.jupyter.standby === 'cold' ? [roles.serving] : byServing(roles, nodeNames(spec));
  }
}

/** The host of etcd's leader node first. */
function byLeader(roles: Roles, hosts: readonly string[]): string[] {
  const leaders = roles.hostOf[roles.leader];
  return hosts.toSorted((a, b) => Number(b === leaders) - Number(a === leaders));
}

/** The node that serves last. */
function byServing({ serving }: Roles, nodes: readonly string[]): string[] {
  return nodes.toSorted((a, b) => Number(a === serving) - Number(b === serving));
}

/**
 * Whether a name can be a target at all, whoever leads now.
 *
 * @throws PerijoveError UNKNOWN_TARGET
 */
export function checkTarget(definition: DrillDefinition, spec: ClusterSpec, target: string): void {
  const hosts = spec.hosts.map(({ name }) => name);
  const names: Readonly<Record<DrillDefinition['target'], readonly string[]>> = {
    leader: nodeNames(spec),
    follower: nodeNames(spec),
    serving: nodeNames(spec),
    standby: nodeNames(spec),
    kernel: nodeNames(spec),
    proxy: hostsWithRole(spec, 'proxy').map(({ name }) => name),
    host: hosts,
    worker: workerTargets,
    'zookeeper-leader': hostsWithRole(spec, 'zookeeper').map(({ name }) => name),
    'master-leader': hostsWithRole(spec, 'master').map(({ name }) => name),
    agent: hostsWithRole(spec, 'agent').map(({ name }) => name),
    brick: brickHosts(spec).map(({ name }) => name),
  };
  if (!names[definition.target].includes(target)) throw unknown(definition, target, names[definition.target]);
}

/** @throws PerijoveError UNKNOWN_TARGET */
export function chooseTarget(
  definition: DrillDefinition,
  roles: Roles,
  spec: ClusterSpec,
  { target, pick = 0 }: TargetRequest,
): string {
  const found = candidates(definition, roles, spec);
  const chosen = target === undefined ? found[pick % Math.max(1, found.length)] : target;
  if (chosen === undefined || !found.includes(chosen)) throw unknown(definition, chosen ?? '', found);
  return chosen;
}

function unknown(definition: DrillDefinition, target: string, names: readonly string[]): PerijoveError {
  return new PerijoveError(
    'UNKNOWN_TARGET',
    `${target} is not a target of ${definition.name} at the moment`,
    {
      subject: target,
      remedy:
        names.length === 0
          ? 'Wait until there is a target: there is none at the moment.'
          : `Use one of ${names.join(', ')}.`,
    },
  );
}

/** The host of the target; undefined for workers, which run elsewhere. */
export function struckHostOf(
  { target: kind }: DrillDefinition,
  { hostOf }: Roles,
  target: string,
): string | undefined {
  const ofNode = ['leader', 'follower', 'serving', 'standby', 'kernel'].includes(kind);
  if (ofNode) return hostOf[target];
  return kind === 'worker' ? undefined : target;
}

/**
 * Refuses what the cluster could not survive: etcd, ZooKeeper and the Mesos masters must keep a quorum
 * without the target.
 *
 * @throws PerijoveError DRILL_UNSAFE
 */
export function checkSafe(
  definition: DrillDefinition,
  roles: Roles,
  spec: ClusterSpec,
  target: string,
): void {
  const unsafe = (message: string) => new PerijoveError('DRILL_UNSAFE', message, { subject: target });
  const isHost = definition.target === 'host';
  const lostNodes = isHost
    ? Object.values(roles.hostOf).filter((host) => host === target).length
    : ['leader', 'follower'].includes(definition.target) && definition.name !== 'etcd-move'
      ? 1
      : 0;
  const { count } = spec.nodes;
  if (count - lostNodes < majority(count)) {
    throw unsafe(`etcd would lose its quorum: ${lostNodes} of ${count} nodes run on ${target}`);
  }
  const ensemble = hostsWithRole(spec, 'zookeeper');
  const losesZooKeeper =
    definition.target === 'zookeeper-leader' || (isHost && ensemble.some(({ name }) => name === target));
  if (losesZooKeeper && ensemble.length - 1 < majority(ensemble.length)) {
    throw unsafe(`ZooKeeper would lose its quorum without ${target}`);
  }
  const masters = hostsWithRole(spec, 'master');
  const losesMaster =
    definition.target === 'master-leader' || (isHost && masters.some(({ name }) => name === target));
  if (losesMaster && masters.length - 1 < spec.mesos.quorum) {
    throw unsafe(`the Mesos masters would lose their quorum without ${target}`);
  }
}
