import {
  ActivityFailure,
  ApplicationFailure,
  isCancellation,
  patched,
  type ActivityOptions,
} from '@temporalio/workflow';
import type { ConvergingStage } from '../../deployment/stages.js';
import type { Activities } from '../../activities/index.js';
import type { ServiceMember } from '../../deployment/members.js';
import type { Change } from '../../hosts/items.js';
import type { ClusterSpec, HostSpec } from '../../cluster/spec.js';
import { patient } from '../../temporal/options.js';
import { inParallel } from '../parallel.js';
import { rollingSteps } from '../../deployment/rolling-order.js';
import { specForHost } from '../../deployment/hosts-to-converge.js';
import { growingActivities } from '../growing.js';
import type { Deployment } from './stage.js';

const { convergeHost } = growingActivities<Activities>(patient);

/** Brings one host to what the stage requires. */
export async function converge(
  spec: ClusterSpec,
  host: HostSpec,
  stage: ConvergingStage,
): Promise<readonly Change[]> {
  return convergeHost.executeWithOptions({ summary: `${stage} on ${host.name}` }, [
    { spec: specForHost(spec, host), host: host.name, stage },
  ]);
}

/** All hosts that differ, concurrently. */
export async function convergeAll(
  deployment: Deployment,
  stage: ConvergingStage,
): Promise<readonly Change[]> {
  const hosts = deployment.pending(stage);
  return (await inParallel(hosts, (host) => converge(deployment.whole, host, stage))).flat();
}

export interface Rolling {
  readonly stage: ConvergingStage;
  /** The current state of the members; called only when there is a difference. */
  readonly members: () => Promise<readonly ServiceMember[]>;
  /** Resolves when all members serve; `limits` restrict one attempt. */
  readonly whole: (limits?: ActivityOptions) => Promise<unknown>;
  /** A host that is no longer a member keeps what it has. */
  readonly keeps?: true;
  /** What else must hold before a member that serves, or may serve, is changed. */
  readonly before?: () => Promise<unknown>;
}

/** After this long the members are observed again: one that waits for the others may have ended meanwhile. */
const onceMore: ActivityOptions = { startToCloseTimeout: '30s', retry: { maximumAttempts: 1 } };
/** After this many observations it is only waited for: a wait of days must not fill the history. */
const mostObservations = 20;

/**
 * Changes the members of a service in the order of `rollingSteps`, and resolves when the service is complete,
 * even if nothing had to be changed.
 */
export async function convergeRolling(
  deployment: Deployment,
  { stage, members, whole, keeps, before }: Rolling,
): Promise<readonly Change[]> {
  const { whole: spec } = deployment;
  const pending = deployment.pending(stage);
  let present = pending.length === 0 ? [] : await members();
  const changed = new Set<string>();
  const stepsLeft = () =>
    rollingSteps(
      pending
        .map((host) => host.name)
        .filter((name) => !changed.has(name))
        .filter((name) => keeps !== true || present.some(({ host }) => host === name)),
      present,
    );
  let steps = [...stepsLeft()];
  const changes: Change[] = [];
  let isWhole = false;
  let observations = 0;
  for (let index = 0; index < steps.length; index += 1) {
    let step = steps[index];
    while (step?.needsWhole === true && !isWhole) {
      isWhole = await isWholeSoon(whole, (observations += 1));
      if (isWhole) break;
      present = await members();
      steps = [...steps.slice(0, index), ...stepsLeft()];
      step = steps[index];
    }
    if (step === undefined) break;
    if (step.needsWhole || step.unsure) await before?.();
    deployment.note(`${step.hosts.join(', ')} (${index + 1} of ${steps.length})`);
    const names = step.hosts;
    const hosts = pending.filter((host) => names.includes(host.name));
    changes.push(...(await inParallel(hosts, (host) => converge(spec, host, stage))).flat());
    for (const name of names) changed.add(name);
    isWhole = false;
    // Changing the last of the members in an unknown state may heal the others; `before` is for those.
    const isHealing = step.unsure === true && before !== undefined && steps[index + 1]?.unsure === true;
    if (steps.length === 1 || isHealing) continue;
    if (index + 1 === steps.length || !patched('observe-members-while-waiting')) {
      await whole();
      isWhole = true;
    } else if (steps[index + 1]?.unsure === true) {
      // It may be this one that is missing.
      isWhole = await isWholeSoon(whole, (observations += 1));
    }
  }
  if (!isWhole) await whole();
  return changes;
}

/** Whether all members serve soon. @param observation how often that has been observed in this stage, from 1 */
async function isWholeSoon(whole: Rolling['whole'], observation: number): Promise<boolean> {
  if (observation > mostObservations || !patched('observe-members-while-waiting')) {
    await whole();
    return true;
  }
  try {
    await whole(onceMore);
    return true;
  } catch (error) {
    if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
    // What no repetition mends would not be mended by one either.
    if (error.cause instanceof ApplicationFailure && error.cause.nonRetryable === true) throw error;
    return false;
  }
}
