import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../../activities/index.js';
import { patient } from '../../temporal/options.js';
import type { Stage } from './stage.js';

const { ensureSecrets } = proxyActivities<Activities>(patient);

export const secrets = {
  name: 'secrets',
  title: 'Generate the secrets and distribute them to every host',
  async run(deployment) {
    const { spec } = deployment;
    const changes = await ensureSecrets.executeWithOptions({ summary: 'secrets on all hosts' }, [{ spec }]);
    deployment.gotSecrets = new Set(changes.map((change) => change.host));
    return changes;
  },
} as const satisfies Stage;
