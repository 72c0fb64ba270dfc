import { CancellationScope, patched } from '@temporalio/workflow';
import type { Activities } from '../../activities/index.js';
import type { Change } from '../../hosts/items.js';
import { briefly, patient, quick } from '../../temporal/options.js';
import { growingActivities } from '../growing.js';
import type { Deployment } from './stage.js';

const { principalDiffers } = growingActivities<Activities>(quick);
const { forgetPrincipal, awaitPrincipal } = growingActivities<Activities>(briefly);
const { startAgents, awaitAgents } = growingActivities<Activities>(patient);

/**
 * Hands the spec to the framework; where masters know the framework by another principal than the spec's, while no
 * agent runs. The agents are started whatever happens; tasks run on meanwhile.
 */
export async function withPrincipal(
  deployment: Deployment,
  handOver: () => Promise<readonly Change[]>,
): Promise<readonly Change[]> {
  const { whole: spec } = deployment;
  const differs =
    patched('principal-of-framework') &&
    (await principalDiffers.executeWithOptions({ summary: 'compare the principal of the framework' }, [
      { spec },
    ]));
  if (!differs) return handOver();
  const changes: Change[] = [];
  deployment.note('agents pause while the framework gets its principal');
  try {
    await forgetPrincipal.executeWithOptions({ summary: 'masters forget the principal' }, [{ spec }]);
    changes.push(...(await handOver()));
    await awaitPrincipal.executeWithOptions({ summary: 'the framework is connected' }, [{ spec }]);
  } finally {
    await CancellationScope.nonCancellable(async () => {
      changes.push(...(await startAgents.executeWithOptions({ summary: 'start the agents' }, [{ spec }])));
    });
  }
  await awaitAgents.executeWithOptions({ summary: 'agents are registered' }, [{ spec }]);
  return changes;
}
