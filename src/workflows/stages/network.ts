import type { Activities } from '../../activities/index.js';
import { hostsWithRole } from '../../cluster/spec.js';
import { patient } from '../../temporal/options.js';
import { inParallel } from '../parallel.js';
import { growingActivities } from '../growing.js';
import { converge, convergeAll } from './converge.js';
import type { Stage } from './stage.js';

const { awaitNetwork } = growingActivities<Activities>(patient);

export const network = {
  name: 'network',
  title: 'Set up the network of the nodes',
  skip: ({ network: { kind, subnet } }) =>
    kind === 'flat' ? `${subnet} already exists according to the spec` : undefined,
  async run(deployment) {
    const { whole: spec } = deployment;
    if (spec.network.kind === 'existing') {
      // Docker may have been started only now, when preflight could not ask it.
      const agents = hostsWithRole(spec, 'agent');
      return (await inParallel(agents, (host) => converge(spec, host, 'network'))).flat();
    }
    const changes = await convergeAll(deployment, 'network');
    await awaitNetwork.executeWithOptions({ summary: 'hosts reach each other' }, [{ spec }]);
    return changes;
  },
} as const satisfies Stage;
