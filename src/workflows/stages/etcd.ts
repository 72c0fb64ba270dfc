import type { Activities } from '../../activities/index.js';
import { patient, quick } from '../../temporal/options.js';
import { growingActivities } from '../growing.js';
import type { Stage } from './stage.js';

const { awaitEtcd } = growingActivities<Activities>(patient);
const { markEtcdFormed } = growingActivities<Activities>(quick);

export const etcd = {
  name: 'etcd',
  title: 'Form etcd with a healthy member on every node',
  async run({ spec }) {
    await awaitEtcd.executeWithOptions({ summary: 'etcd is healthy' }, [{ spec }]);
    await markEtcdFormed.executeWithOptions({ summary: 'later nodes join this etcd' }, [{ spec }]);
    return [];
  },
  proof: ({ nodes }) => `${nodes.count} healthy members`,
} as const satisfies Stage;
