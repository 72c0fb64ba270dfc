import type { Activities } from '../../activities/index.js';
import { patient, quick } from '../../temporal/options.js';
import { growingActivities } from '../growing.js';
import { convergeRolling } from './converge.js';
import type { Stage } from './stage.js';

const { agentMembers } = growingActivities<Activities>(quick);
const { awaitAgents, awaitFormedEtcd } = growingActivities<Activities>(patient);

/** Nodes live on agents: agents change one by one, and etcd must be complete before the next one does. */
export const agents = {
  name: 'agents',
  title: 'Register every Mesos agent',
  run: (deployment) => {
    const { spec } = deployment;
    return convergeRolling(deployment, {
      stage: 'agents',
      members: () => agentMembers.executeWithOptions({ summary: 'find running agents' }, [{ spec }]),
      // Before a change an agent listens where its configuration of before says.
      whole: (limits) =>
        awaitAgents.executeWithOptions({ ...limits, summary: 'agents registered' }, [
          { spec, ...(limits && { atAnyPort: true }) },
        ]),
      // Nodes may run there, and nothing would move them.
      keeps: true,
      before: () => awaitFormedEtcd.executeWithOptions({ summary: 'etcd is healthy' }, [{ spec }]),
    });
  },
} as const satisfies Stage;
