import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../../activities/index.js';
import { patient, quick } from '../../temporal/options.js';
import { convergeRolling } from './converge.js';
import type { Stage } from './stage.js';

const { masterMembers } = proxyActivities<Activities>(quick);
const { awaitMasters } = proxyActivities<Activities>(patient);

export const masters: Stage = {
  name: 'masters',
  title: 'All Mesos masters name the same leader',
  run: (deployment) => {
    const { spec } = deployment;
    return convergeRolling(deployment, {
      stage: 'masters',
      members: () => masterMembers.executeWithOptions({ summary: 'who serves' }, [{ spec }]),
      whole: () => awaitMasters.executeWithOptions({ summary: 'masters agree' }, [{ spec }]),
    });
  },
};
