import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../../activities/index.js';
import { quick, waiting } from '../../temporal/options.js';
import type { Stage } from './stage.js';

const { ensureFramework } = proxyActivities<Activities>(quick);
const { awaitNodes } = proxyActivities<Activities>(waiting);

export const framework: Stage = {
  name: 'framework',
  title: 'The Mesos framework holds a task for every node',
  async run(deployment) {
    const { spec } = deployment;
    const result = await ensureFramework.executeWithOptions({ summary: 'hand over the spec' }, [{ spec }]);
    deployment.note(`waiting for ${spec.nodes.count} nodes`);
    await awaitNodes.executeWithOptions({ summary: 'all nodes run' }, [{ spec }]);
    switch (result) {
      case 'started':
        return [{ host: spec.name, what: 'started the framework' }];
      case 'changed':
        return [{ host: spec.name, what: 'handed the spec to the framework' }];
      case 'unchanged':
        return [];
    }
  },
};
