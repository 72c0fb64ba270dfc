import type { Activities } from '../../activities/index.js';
import type { Change } from '../../hosts/items.js';
import { patient, quick } from '../../temporal/options.js';
import { growingActivities } from '../growing.js';
import { convergeRolling } from './converge.js';
import type { Stage } from './stage.js';

const { masterMembers, openZnodes, protectZnodes } = growingActivities<Activities>(quick);
const { awaitMasters } = growingActivities<Activities>(patient);

export const masters = {
  name: 'masters',
  title: 'Start the Mesos masters and elect a leader',
  run: async (deployment) => {
    const { whole: spec } = deployment;
    const opened: Change[] = [];
    const changed = await convergeRolling(deployment, {
      stage: 'masters',
      members: async () => {
        opened.push(
          ...(await openZnodes.executeWithOptions({ summary: 'set the ACLs of the znodes' }, [{ spec }])),
        );
        return masterMembers.executeWithOptions({ summary: 'find running masters' }, [{ spec }]);
      },
      whole: (limits) => awaitMasters.executeWithOptions({ ...limits, summary: 'masters agree' }, [{ spec }]),
    });
    if (!spec.zookeeper.digest) return [...opened, ...changed];
    const closed = await protectZnodes.executeWithOptions({ summary: 'set the ACLs of the znodes' }, [
      { spec },
    ]);
    return [...opened, ...changed, ...closed];
  },
} as const satisfies Stage;
