import { convergeAll } from './converge.js';
import type { Stage } from './stage.js';

export const storage: Stage = {
  name: 'storage',
  title: 'Give the notebooks a storage that all nodes share',
  run: (deployment) => convergeAll(deployment, 'storage'),
};
