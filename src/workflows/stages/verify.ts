import type { Activities } from '../../activities/index.js';
import { hostsWithRole } from '../../cluster/spec.js';
import { patient } from '../../temporal/options.js';
import { growingActivities } from '../growing.js';
import type { Stage } from './stage.js';

const { verifyNotebooks, verifySsh } = growingActivities<Activities>(patient);

/** Proves that what users do works, through every host and from every node. */
export const verify = {
  name: 'verify',
  title: 'Run a notebook cell through every host, and ssh from every node',
  async run({ spec }) {
    await Promise.all([
      verifyNotebooks.executeWithOptions({ summary: '6*7 through every host' }, [{ spec }]),
      verifySsh.executeWithOptions({ summary: 'ssh node-0 hostname from every node' }, [{ spec }]),
    ]);
    return [];
  },
  proof: (spec) => {
    const hosts = hostsWithRole(spec, 'proxy').map(({ name }) => name);
    return `6*7 = 42 through ${hosts.join(', ')}; ssh among ${spec.nodes.count} nodes`;
  },
} as const satisfies Stage;
