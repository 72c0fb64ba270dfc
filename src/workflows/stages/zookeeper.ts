import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../../activities/index.js';
import { patient, quick } from '../../temporal/options.js';
import { convergeRolling } from './converge.js';
import type { Stage } from './stage.js';

const { zookeeperMembers } = proxyActivities<Activities>(quick);
const { awaitZookeeper } = proxyActivities<Activities>(patient);

export const zookeeper = {
  name: 'zookeeper',
  title: 'Form the ensemble, with one leader',
  run: (deployment) => {
    const { spec } = deployment;
    return convergeRolling(deployment, {
      stage: 'zookeeper',
      members: () => zookeeperMembers.executeWithOptions({ summary: 'find running servers' }, [{ spec }]),
      whole: () => awaitZookeeper.executeWithOptions({ summary: 'the ensemble is healthy' }, [{ spec }]),
    });
  },
} as const satisfies Stage;
