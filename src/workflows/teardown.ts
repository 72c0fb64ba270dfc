import {
  patched,
  setCurrentDetails,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { EndedDrill } from '../activities/drill-end.js';
import type { Activities } from '../activities/index.js';
import { flag, optional } from '../cluster/flaws.js';
import { withHostKeys } from '../cluster/host-keys.js';
import { clusterSpec } from '../cluster/spec-data.js';
import type { Change } from '../hosts/items.js';
import { memoKeys, type TeardownInput, type TeardownResult } from '../temporal/contract.js';
import { patient, waiting } from '../temporal/options.js';
import { clusterAttribute } from '../temporal/start-options.js';
import { growingActivities } from './growing.js';
import { finalFailure } from './failure.js';
import { requireInput } from './input.js';
import { specForHost } from '../deployment/hosts-to-converge.js';

const { stopKeeper, stopFramework, endDrills } = growingActivities<Activities>(waiting);
const { cancelDeploy, checkIdentity, clearHost, deleteVolume } = growingActivities<Activities>(patient);

/**
 * Takes a cluster down, and no other one: checks its identity, cancels a running deploy, ends drills once their faults are healed, ends the keeper (which
 * would repair) and the framework (which would relaunch), then clears all hosts concurrently. Whatever is already
 * gone is skipped. A host that cannot be cleared does not block the others; the workflow fails with it in the end.
 */
export async function teardown(input: TeardownInput): Promise<TeardownResult> {
  requireInput<TeardownInput>('teardown', input, { spec: clusterSpec, purge: optional(flag) });
  let { spec } = input;
  const { purge = false } = input;
  upsertSearchAttributes(clusterAttribute(spec.name));
  // `perijove down` attaches only to a teardown that does the same.
  if (workflowInfo().memo?.[memoKeys.purge] === undefined && patched('own-purge-memo')) {
    upsertMemo({ [memoKeys.purge]: purge });
  }
  const changes: Change[] = [];
  const report = (...more: readonly Change[]) => {
    changes.push(...more);
    setCurrentDetails(changes.map(({ host, what }) => `- ${host}: ${what}`).join('\n'));
  };
  try {
    if (patched('identity')) {
      const { hostKeys = {} } = await checkIdentity.executeWithOptions(
        { summary: 'hosts and name are not of another cluster' },
        [{ spec }],
      );
      spec = withHostKeys(spec, hostKeys);
    }
    const { cancelled } = await cancelDeploy.executeWithOptions({ summary: 'no deploy runs' }, [
      { cluster: spec.name },
    ]);
    if (cancelled) report({ host: spec.name, what: 'cancelled the deployment' });
    if (patched('end-drills')) {
      const drills = await endDrills.executeWithOptions({ summary: 'no drill runs' }, [
        { cluster: spec.name },
      ]);
      for (const drill of drills) report({ host: spec.name, what: drillText(drill) });
    }
    const keeper = await stopKeeper.executeWithOptions({ summary: 'keeper ended' }, [{ spec }]);
    if (keeper.changed) report({ host: spec.name, what: 'stopped the keeper' });
    const framework = await stopFramework.executeWithOptions({ summary: 'framework torn down' }, [{ spec }]);
    if (framework !== undefined) {
      const what = framework.tornDown
        ? 'tore down the framework'
        : `stopped the framework without a teardown in Mesos: ${framework.reason ?? 'no response'}`;
      report({ host: spec.name, what });
    }

    const clear = async (all: boolean) => {
      const cleared = await Promise.allSettled(
        spec.hosts.map(async (host) =>
          report(
            ...(await clearHost.executeWithOptions({ summary: `clear ${host.name}` }, [
              { spec: specForHost(spec, host), host: host.name, purge: all },
            ])),
          ),
        ),
      );
      const failed = cleared.filter((result) => result.status === 'rejected');
      if (failed[0] !== undefined) throw failed[0].reason;
    };
    if (purge && spec.storage.kind === 'gluster') {
      // A volume is deleted when no host has it mounted, and before its servers are stopped.
      await clear(false);
      report(...(await deleteVolume.executeWithOptions({ summary: 'volume deleted' }, [{ spec }])));
    }
    await clear(purge);
    return { changes };
  } catch (error) {
    throw finalFailure(error).failure;
  }
}

function drillText({ number, what, unhealed }: EndedDrill): string {
  return unhealed === undefined
    ? `ended drill ${number} (${what})`
    : `the fault of drill ${number} (${what}) is not healed: ${unhealed}`;
}
