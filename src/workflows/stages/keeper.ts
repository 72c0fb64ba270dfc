import type { Activities } from '../../activities/index.js';
import { quick, waiting } from '../../temporal/options.js';
import { growingActivities } from '../growing.js';
import { convergeRolling } from './converge.js';
import { restarted, type Stage } from './stage.js';

const { proxyMembers, ensureKeeper } = growingActivities<Activities>(quick);
const { awaitKeeper } = growingActivities<Activities>(waiting);

/** Proxies change one by one, each with its route restored first: some host always leads to Jupyter. */
export const keeper = {
  name: 'keeper',
  title: 'Serve Jupyter on the leader, with a route to it on every host',
  async run(deployment) {
    const { spec, identity } = deployment;
    let changed = false;
    let isRestarted = false;
    const proxies = await convergeRolling(deployment, {
      stage: 'keeper',
      members: () => proxyMembers.executeWithOptions({ summary: 'find running proxies' }, [{ spec }]),
      whole: async (limits) => {
        const outcome = await ensureKeeper.executeWithOptions({ summary: 'keeper' }, [
          { spec, ...(identity && { identity }) },
        ]);
        changed ||= outcome.changed;
        isRestarted ||= outcome.restarted === true;
        await awaitKeeper.executeWithOptions({ ...limits, summary: 'Jupyter responds through every route' }, [
          { spec },
        ]);
      },
    });
    const what = isRestarted ? restarted('keeper') : 'handed the spec to the keeper';
    return changed ? [...proxies, { host: spec.name, what }] : proxies;
  },
} as const satisfies Stage;
