import { proxyActivities } from '@temporalio/workflow';
import type { ConvergingStage } from '../../deployment/stages.js';
import type { Activities } from '../../activities/index.js';
import type { ServiceMember } from '../../deployment/members.js';
import type { Change } from '../../hosts/items.js';
import type { ClusterSpec, HostSpec } from '../../cluster/spec.js';
import { patient } from '../../temporal/options.js';
import { inParallel } from '../parallel.js';
import { rollingSteps } from '../../deployment/rolling-order.js';
import { specForHost } from '../../deployment/hosts-to-converge.js';
import type { Deployment } from './stage.js';

const { convergeHost } = proxyActivities<Activities>(patient);

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
  return (await inParallel(hosts, (host) => converge(deployment.spec, host, stage))).flat();
}

export interface Rolling {
  readonly stage: ConvergingStage;
  /** The current state of the members; called only when there is a difference. */
  readonly members: () => Promise<readonly ServiceMember[]>;
  /** Resolves when all members serve. */
  readonly whole: () => Promise<unknown>;
  /** A host that is no longer a member keeps what it has. */
  readonly keeps?: true;
  /** What else must hold before a member that serves, or may serve, is changed. */
  readonly before?: () => Promise<unknown>;
}

/**
 * Changes the members of a service in the order of `rollingSteps`, and resolves when the service is complete,
 * even if nothing had to be changed.
 */
export async function convergeRolling(
  deployment: Deployment,
  { stage, members, whole, keeps, before }: Rolling,
): Promise<readonly Change[]> {
  const { spec } = deployment;
  const pending = deployment.pending(stage);
  const present = pending.length === 0 ? [] : await members();
  const steps = rollingSteps(
    pending
      .map((host) => host.name)
      .filter((name) => keeps !== true || present.some(({ host }) => host === name)),
    present,
  );
  const changes: Change[] = [];
  let isWhole = false;
  for (const [index, step] of steps.entries()) {
    if (step.needsWhole && !isWhole) await whole();
    if (step.needsWhole || step.unsure) await before?.();
    deployment.note(`${step.hosts.join(', ')} (${index + 1} of ${steps.length})`);
    const hosts = pending.filter((host) => step.hosts.includes(host.name));
    changes.push(...(await inParallel(hosts, (host) => converge(spec, host, stage))).flat());
    isWhole = false;
    // Changing the last of the members in an unknown state may heal the others; `before` is for those.
    const isHealing = step.unsure === true && before !== undefined && steps[index + 1]?.unsure === true;
    if (steps.length > 1 && !isHealing) {
      await whole();
      isWhole = true;
    }
  }
  if (!isWhole) await whole();
  return changes;
}
