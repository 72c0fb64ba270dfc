import { Client } from '@temporalio/client';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import type { ActivityDeps } from '../../src/activities/deps.js';
import { createDrillActivities } from '../../src/activities/drill.js';
import { createEtcdActivities } from '../../src/activities/etcd.js';
import { createTransitionActivities } from '../../src/activities/etcd-transition.js';
import { createFrameworkActivities } from '../../src/activities/framework.js';
import { createHostActivities } from '../../src/activities/hosts.js';
import { createActivities } from '../../src/activities/index.js';
import { createIdentityActivities } from '../../src/activities/identity.js';
import { createImageActivities } from '../../src/activities/image.js';
import { createKeeperActivities } from '../../src/activities/keeper.js';
import { createMesosActivities } from '../../src/activities/mesos.js';
import { createNetworkActivities } from '../../src/activities/network.js';
import { createNoticeActivities } from '../../src/activities/notices.js';
import { createPrincipalActivities } from '../../src/activities/principal.js';
import { createRecoveryActivities } from '../../src/activities/recovery.js';
import { createRemovalActivities } from '../../src/activities/removal.js';
import { createSecretsActivities } from '../../src/activities/secrets.js';
import { createStorageActivities } from '../../src/activities/storage.js';
import { createTeardownActivities } from '../../src/activities/teardown.js';
import { createVerifyActivities } from '../../src/activities/verify.js';
import { createZooKeeperActivities } from '../../src/activities/zookeeper.js';
import { createSshPool } from '../../src/ssh/pool.js';

it('no two subjects have an activity of the same name', () => {
  const logger = pino({ level: 'silent' });
  const deps: ActivityDeps = {
    client: new Client(),
    pool: createSshPool({ logger, knownHostsDir: '/nowhere' }),
    logger,
    artifacts: { programsDir: '/nowhere', nodeBinary: process.execPath },
  };
  const names = [
    createIdentityActivities(deps),
    createHostActivities(deps),
    createSecretsActivities(deps),
    createNetworkActivities(deps),
    createStorageActivities(deps),
    createZooKeeperActivities(deps),
    createMesosActivities(deps),
    createPrincipalActivities(deps),
    createFrameworkActivities(deps),
    createTransitionActivities(deps),
    createEtcdActivities(deps),
    createImageActivities(deps),
    createKeeperActivities(deps),
    createDrillActivities(deps),
    createNoticeActivities(deps),
    createVerifyActivities(deps),
    createRecoveryActivities(deps),
    createTeardownActivities(deps),
    createRemovalActivities(deps),
  ].flatMap((activities) => Object.keys(activities));
  expect(new Set(names).size).toBe(names.length);
  expect(new Set(Object.keys(createActivities(deps)))).toEqual(new Set(names));
});
