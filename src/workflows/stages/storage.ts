import type { Activities } from '../../activities/index.js';
import { patient } from '../../temporal/options.js';
import { growingActivities } from '../growing.js';
import { convergeAll } from './converge.js';
import type { Stage } from './stage.js';

const { ensureVolume } = growingActivities<Activities>(patient);

export const storage = {
  name: 'storage',
  title: 'Provide shared storage for the notebooks',
  async run(deployment) {
    const { spec } = deployment;
    const formed =
      spec.storage.kind === 'gluster'
        ? await ensureVolume.executeWithOptions({ summary: 'the volume is healthy' }, [{ spec }])
        : [];
    return [...formed, ...(await convergeAll(deployment, 'storage'))];
  },
} as const satisfies Stage;
