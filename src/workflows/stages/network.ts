import { convergeAll } from './converge.js';
import type { Stage } from './stage.js';

export const network: Stage = {
  name: 'network',
  title: 'Give the nodes a network',
  skip: ({ network: { kind, subnet } }) =>
    kind === 'vxlan' ? undefined : `the spec says that ${subnet} is there already`,
  run: (deployment) => convergeAll(deployment, 'network'),
};
