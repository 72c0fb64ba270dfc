/** The desired state of a host in each stage, from the subjects' items. Pure. */
import { dockerItems } from '../hosts/docker.js';
import { mergeItems, noItems, type HostItems } from '../hosts/items.js';
import type { MesosInstallation } from '../mesos/installation/installation.js';
import { agentItems, agentService, masterItems, masterService } from '../mesos/installation/items.js';
import { networkItems } from '../network/items.js';
import { nodeItems } from '../node/items.js';
import { proxyItems } from '../proxy/items.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import { glusterItems, storageItems } from '../storage/items.js';
import { zookeeperItems, zookeeperService } from '../zookeeper/items.js';
import { convergingStages, serviceStages, type ConvergingStage, type ServiceStage } from './stages.js';

type ItemsOf = (spec: ClusterSpec, host: HostSpec, mesos?: MesosInstallation) => HostItems;

const itemsOf: Readonly<Record<ConvergingStage, ItemsOf>> = {
  install: (spec, host, mesos) =>
    installItems([
      dockerItems(spec, host),
      networkItems(spec, host),
      glusterItems(spec, host),
      ...serviceStages.map(({ name }) => itemsOf[name](spec, host, mesos)),
    ]),
  network: networkItems,
  storage: storageItems,
  zookeeper: zookeeperItems,
  masters: masterItems,
  agents: (spec, host, mesos) => mergeItems(agentItems(spec, host, mesos), nodeItems(spec, host)),
  keeper: proxyItems,
};

/** `mesos` is the installation observed on the host, if any. */
export function desiredItems(
  spec: ClusterSpec,
  host: HostSpec,
  stage: ConvergingStage,
  mesos?: MesosInstallation,
): HostItems {
  return itemsOf[stage](spec, host, mesos);
}

/**
 * What may exist before the cluster runs: packages, daemons of the distribution, programs, and archives.
 * Later stages find these done. Empty directories and configuration belong to those stages.
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

/** Everything that a deployment requires on a host. */
export function allItems(spec: ClusterSpec, host: HostSpec, mesos?: MesosInstallation): HostItems {
  return mergeItems(...convergingStages.map((stage) => desiredItems(spec, host, stage, mesos)));
}

const serviceOf: Readonly<Record<ServiceStage, string>> = {
  zookeeper: zookeeperService,
  masters: masterService,
  agents: agentService,
  keeper: 'proxy',
};

/** Services, by stage, that the host must not have: those of roles that it lacks or no longer has. */
export function unwantedServices(
  host: HostSpec,
): readonly { readonly stage: ConvergingStage; readonly service: string }[] {
  return serviceStages
    .filter(({ role }) => !host.roles.includes(role))
    .map(({ name }) => ({ stage: name, service: serviceOf[name] }));
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
