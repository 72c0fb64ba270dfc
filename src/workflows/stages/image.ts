import type { Stage } from './stage.js';

export const image: Stage = {
  name: 'image',
  title: 'The image of the nodes on every host',
  skip: ({ nodes }) =>
    nodes.containerizer === 'mesos' ? 'nodes run as plain processes: there is no image to build' : undefined,
  async run(deployment) {
    deployment.note(`agents pull ${deployment.spec.nodes.image}`);
    return [];
  },
};
