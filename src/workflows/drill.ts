import {
  CancellationScope,
  isCancellation,
  patched,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  upsertMemo,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import { number as numeric, optional, text, whole } from '../cluster/flaws.js';
import { withHostKeys } from '../cluster/host-keys.js';
import { clusterSpec } from '../cluster/spec-data.js';
import { conclude } from '../drill/decide.js';
import type { Recovery } from '../drill/model.js';
import {
  drillState,
  memoKeys,
  type DrillInput,
  type DrillState,
  type Evidence,
} from '../temporal/contract.js';
import { endless, waiting } from '../temporal/options.js';
import { clusterAttribute } from '../temporal/start-options.js';
import { failure, finalFailure } from './failure.js';
import { requireInput } from './input.js';

const { checkIdentity, prepareDrill, injectFault } = proxyActivities<Activities>({
  ...waiting,
  scheduleToCloseTimeout: '30 minutes',
});
// The fault is healed, however long a host or a worker is unavailable.
const { healFault } = proxyActivities<Activities>(endless);

/**
 * Injects one fault on purpose: checks whether the cluster can tolerate it, injects it while observing,
 * heals, and checks all invariants. The plan is in this workflow's history before the injection, so healing
 * always happens: with or without a recovery, after a cancellation, and when that worker is dead.
 */
export async function drill(input: DrillInput): Promise<Evidence> {
  requireInput<DrillInput>('drill', input, {
    spec: clusterSpec,
    number: whole,
    drill: text,
    target: optional(text),
    pick: optional(whole),
    budgetMs: optional(numeric),
    seed: optional(text),
    waitMs: optional(numeric),
  });
  const { number, seed } = input;
  let { spec } = input;
  let state: DrillState = {
    cluster: spec.name,
    number,
    drill: input.drill,
    phase: 'preparing',
    unhealed: false,
  };
  const enter = (change: Partial<DrillState>) => {
    state = { ...state, ...change };
    upsertMemo({ [memoKeys.state]: state });
    setCurrentDetails(details(state));
  };
  setHandler(drillState, () => state);
  upsertSearchAttributes(clusterAttribute(spec.name));

  try {
    if (patched('identity')) {
      const { hostKeys = {} } = await checkIdentity.executeWithOptions(
        { summary: 'hosts and name are not of another cluster' },
        [{ spec }],
      );
      spec = withHostKeys(spec, hostKeys);
    }
    const plan = await prepareDrill.executeWithOptions({ summary: 'check that the cluster is healthy' }, [
      { ...input, spec },
    ]);
    const { target, budgetMs } = plan;
    enter({ phase: 'observing', target, budgetMs, unhealed: true });
    const watched = await settled(
      injectFault.executeWithOptions({ summary: `${input.drill} of ${target}` }, [{ spec, plan }]),
    );
    enter({ phase: 'healing' });
    const healing = await CancellationScope.nonCancellable(() =>
      healFault.executeWithOptions({ summary: 'heal, and wait until the cluster is healthy' }, [
        { spec, plan },
      ]),
    );
    enter({ unhealed: false });
    if ('thrown' in watched) throw watched.thrown;
    if (healing.tornDown) {
      throw failure('CLUSTER_TORN_DOWN', 'the cluster was torn down during the drill; its fault is healed');
    }
    const evidence = conclude({
      cluster: spec.name,
      number,
      standby: spec.jupyter.standby,
      ...(seed !== undefined && { seed }),
      plan,
      recovery: watched.recovery,
      healing,
    });
    const { verdict, measures } = evidence;
    const recovered = measures.recoveredMs === null ? {} : { recoveredMs: measures.recoveredMs };
    enter({ phase: verdict.passed ? 'passed' : 'failed', verdict, ...recovered });
    return evidence;
  } catch (error) {
    const last = finalFailure(error);
    const { code, message, remedy } = last.facts;
    enter({ phase: isCancellation(error) ? 'cancelled' : 'failed', failure: { code, message, remedy } });
    throw last.failure;
  }
}

type Settled = { readonly recovery: Recovery } | { readonly thrown: unknown };

/** The outcome as a value, so that the next step always runs. */
async function settled(work: Promise<Recovery>): Promise<Settled> {
  try {
    return { recovery: await work };
  } catch (thrown) {
    return { thrown };
  }
}

/** The state as Markdown, for Temporal's Web UI. */
function details({ drill: name, target, phase, verdict, recoveredMs, failure }: DrillState): string {
  const lines = [`**${name}**${target === undefined ? '' : ` of ${target}`}: ${phase}.`];
  if (recoveredMs !== undefined) lines.push(`- recovered after ${recoveredMs} ms`);
  for (const reason of verdict?.reasons ?? []) lines.push(`- ${reason}`);
  if (failure) lines.push(`- ${failure.message}`);
  return lines.join('\n');
}
