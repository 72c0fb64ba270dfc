import { patched, setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import { list, object, text, whole } from '../cluster/flaws.js';
import { withHostKeys } from '../cluster/host-keys.js';
import { clusterSpec } from '../cluster/spec-data.js';
import type { RecoveryPlan } from '../etcd/recovery.js';
import type { RecoveryInput, RecoveryResult } from '../temporal/contract.js';
import { waiting } from '../temporal/options.js';
import { clusterAttribute } from '../temporal/start-options.js';
import { growingActivities } from './growing.js';
import { finalFailure } from './failure.js';
import { requireInput } from './input.js';

const { checkIdentity, confirmRecovery, beginEpoch, awaitEpoch, spreadEpoch, awaitMembers, noteRecovery } =
  growingActivities<Activities>(waiting);

/**
 * Recovers a lost quorum of etcd as an operator has confirmed it: one node begins an epoch, and the others join it.
 * Everything before `beginEpoch` only looks; what follows it would also happen without this workflow, because nodes
 * learn of the epoch from each other.
 */
export async function recovery(input: RecoveryInput): Promise<RecoveryResult> {
  requireInput<RecoveryInput>('recovery', input, {
    spec: clusterSpec,
    plan: object<RecoveryPlan>({ epoch: whole, seed: text, host: text, from: text }),
    lost: list(text),
  });
  let { spec } = input;
  const { plan, lost } = input;
  upsertSearchAttributes(clusterAttribute(spec.name));
  const { epoch, seed } = plan;
  const at = new Date().toISOString();
  const report = (what: string) => setCurrentDetails(`Epoch ${epoch} of etcd: ${what}.`);
  try {
    if (patched('identity')) {
      const { hostKeys = {} } = await checkIdentity.executeWithOptions(
        { summary: 'hosts and name are not of another cluster' },
        [{ spec }],
      );
      spec = withHostKeys(spec, hostKeys);
    }
    report('looking whether what was found still holds');
    await confirmRecovery.executeWithOptions({ summary: 'a quorum is lost' }, [{ spec, plan, lost }]);
    report(`beginning with ${seed}`);
    await beginEpoch.executeWithOptions({ summary: `begin with ${seed}` }, [{ spec, plan }]);
    const { leader } = await awaitEpoch.executeWithOptions({ summary: `${seed} leads` }, [{ spec, plan }]);
    report(`${leader} leads; the others join`);
    await spreadEpoch.executeWithOptions({ summary: 'all nodes know the epoch' }, [{ spec, plan }]);
    const joined = await awaitMembers.executeWithOptions({ summary: 'the others join' }, [
      { spec, plan, lost },
    ]);
    await noteRecovery.executeWithOptions({ summary: 'recorded as an incident' }, [{ spec, plan, at }]);
    report(`${joined.leader} leads; ${joined.members.length} members vote`);
    return { epoch, ...joined };
  } catch (error) {
    throw finalFailure(error).failure;
  }
}
