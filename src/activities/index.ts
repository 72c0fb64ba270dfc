import type { ActivityDeps } from './deps.js';
import { createDrillActivities } from './drill.js';
import { createEtcdActivities } from './etcd.js';
import { createTransitionActivities } from './etcd-transition.js';
import { createFrameworkActivities } from './framework.js';
import { createHostActivities } from './hosts.js';
import { createIdentityActivities } from './identity.js';
import { createImageActivities } from './image.js';
import { createKeeperActivities } from './keeper.js';
import { createMesosActivities } from './mesos.js';
import { createNetworkActivities } from './network.js';
import { createNoticeActivities } from './notices.js';
import { createPrincipalActivities } from './principal.js';
import { createRecoveryActivities } from './recovery.js';
import { createRemovalActivities } from './removal.js';
import { createSecretsActivities } from './secrets.js';
import { createStorageActivities } from './storage.js';
import { createTeardownActivities } from './teardown.js';
import { createVerifyActivities } from './verify.js';
import { createZooKeeperActivities } from './zookeeper.js';

/** All activities of a worker. Each takes one plain-JSON argument; names are unique over all files. */
export function createActivities(deps: ActivityDeps) {
  return {
    ...createIdentityActivities(deps),
    ...createHostActivities(deps),
    ...createSecretsActivities(deps),
    ...createNetworkActivities(deps),
    ...createStorageActivities(deps),
    ...createZooKeeperActivities(deps),
    ...createMesosActivities(deps),
    ...createPrincipalActivities(deps),
    ...createImageActivities(deps),
    ...createFrameworkActivities(deps),
    ...createTransitionActivities(deps),
    ...createEtcdActivities(deps),
    ...createKeeperActivities(deps),
    ...createVerifyActivities(deps),
    ...createTeardownActivities(deps),
    ...createRemovalActivities(deps),
    ...createRecoveryActivities(deps),
    ...createDrillActivities(deps),
    ...createNoticeActivities(deps),
  };
}

export type Activities = ReturnType<typeof createActivities>;
