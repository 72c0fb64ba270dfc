/** What each stage wants a host to have: the subjects' items, by stage. Pure. */
import { dockerItems } from '../hosts/docker.js';
import { mergeItems, noItems, type HostItems } from '../hosts/items.js';
import type { MesosInstallation } from '../mesos/installation.js';
import { agentItems, agentService, masterItems, masterService } from '../mesos/items.js';
import { networkItems } from '../network/items.js';
import { nodeItems } from '../node/items.js';
import { proxyItems } from '../proxy/items.js';
import type { ClusterSpec, HostSpec, Role } from '../spec/cluster.js';
import { glusterItems, storageItems } from '../storage/items.js';
import type { StageName } from '../temporal/contract.js';
import { zookeeperItems, zookeeperService } from '../zookeeper/items.js';

/** The stages that change hosts by `converge`. */
export const convergingStages = [
  'install',
  'network',
  'storage',
  'zookeeper',
  'masters',
  'agents',
  'keeper',
] as const satisfies readonly StageName[];
export type ConvergingStage = (typeof convergingStages)[number];

/**
 * `mesos` is the installation as it was found on the host, where there is one.
 */
export function desiredItems(
  spec: ClusterSpec,
  host: HostSpec,
  stage: ConvergingStage,
  mesos?: MesosInstallation,
): HostItems {
  switch (stage) {
    case 'install':
      return installItems([
        dockerItems(spec, host),
        networkItems(spec, host),
        glusterItems(spec, host),
        ...serviceStages.map((each) => desiredItems(spec, host, each, mesos)),
      ]);
    case 'network':
      return networkItems(spec, host);
    case 'storage':
      return storageItems(spec, host);
    case 'zookeeper':
      return zookeeperItems(spec, host);
    case 'masters':
      return masterItems(spec, host, mesos);
    case 'agents':
      return mergeItems(agentItems(spec, host, mesos), nodeItems(spec, host));
    case 'keeper':
      return proxyItems(spec, host);
  }
}

const serviceStages = ['zookeeper', 'masters', 'agents', 'keeper'] as const;

/**
 * What may be there before anything of the cluster runs: packages, daemons of the distribution, programs, and
 * archives that a program comes in. The stages that follow find it done. An empty directory or a configuration is theirs.
 */
function installItems(parts: readonly HostItems[]): HostItems {
  const all = mergeItems(...parts);
  return {
    ...all,
    directories: [],
    files: all.files.filter(({ source }) => source.kind === 'program' || source.kind === 'node'),
    services: [],
    conditions: [],
  };
}

/** All that a deployment wants on a host. */
export function allItems(spec: ClusterSpec, host: HostSpec, mesos?: MesosInstallation): HostItems {
  return mergeItems(...convergingStages.map((stage) => desiredItems(spec, host, stage, mesos)));
}

const serviceOf = {
  zookeeper: { role: 'zookeeper', service: zookeeperService },
  masters: { role: 'master', service: masterService },
  agents: { role: 'agent', service: agentService },
  keeper: { role: 'proxy', service: 'proxy' },
} as const satisfies Partial<Record<ConvergingStage, { role: Role; service: string }>>;

/** Services, by stage, that the host must not have: those of roles that it has not, or no longer. */
export function unwantedServices(host: HostSpec): readonly { stage: ConvergingStage; service: string }[] {
  return serviceStages
    .filter((stage) => !host.roles.includes(serviceOf[stage].role))
    .map((stage) => ({ stage, service: serviceOf[stage].service }));
}

/** The same as items, for `removeItems`. */
export function unwantedItems(host: HostSpec, stage: ConvergingStage): HostItems {
  const services = unwantedServices(host)
    .filter((each) => each.stage === stage)
    .map(({ service }) => ({
      name: service,
      description: '',
      exec: ['true'] as const,
      env: {},
      restartOn: [],
    }));
  return { ...noItems, services };
}
