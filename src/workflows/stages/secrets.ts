import { uuid4 } from '@temporalio/workflow';
import type { Activities } from '../../activities/index.js';
import { placesOf } from '../../cluster/identity.js';
import type { Change } from '../../hosts/items.js';
import { patient } from '../../temporal/options.js';
import { growingActivities } from '../growing.js';
import type { Deployment, Stage } from './stage.js';

const { claimHosts, ensureSecrets } = growingActivities<Activities>(patient);

export const secrets = {
  name: 'secrets',
  title: 'Generate the secrets and distribute them to every host',
  async run(deployment) {
    const { spec } = deployment;
    const claimed = await claim(deployment);
    const changes = await ensureSecrets.executeWithOptions({ summary: 'secrets on all hosts' }, [{ spec }]);
    deployment.gotSecrets = new Set(changes.map((change) => change.host));
    return [...claimed, ...changes];
  },
} as const satisfies Stage;

/** Before anything else is written, the hosts are marked as the cluster's own. */
async function claim(deployment: Deployment): Promise<readonly Change[]> {
  const { spec, checked } = deployment;
  if (checked === undefined) return [];
  const places = placesOf(spec);
  if (checked.isMarked && checked.id !== undefined) {
    deployment.identity = { id: checked.id, places };
    return [];
  }
  const { id, changes } = await claimHosts.executeWithOptions({ summary: 'mark the hosts as its own' }, [
    { spec, proposed: uuid4() },
  ]);
  deployment.identity = { id, places };
  return changes;
}
