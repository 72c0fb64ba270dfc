/** Surveys one host: its facts, the problems on it, and what each stage would change. */
import type { ClusterSpec } from '../cluster/spec.js';
import { planChanges, type ConvergeDeps } from '../hosts/converge.js';
import { gatherFacts, type HostFacts } from '../hosts/facts.js';
import { PerijoveError } from '../errors/error.js';
import type { Change, HostItems } from '../hosts/items.js';
import { aptKey, pendingPins } from '../hosts/pin-package.js';
import type { Problem } from '../hosts/problem.js';
import { hostServices } from '../hosts/services.js';
import { agentReport, type AgentReport } from '../mesos/installation/agent-needs.js';
import { installationProblems, observeMesos } from '../mesos/installation/installation.js';
import { networkFactsScript, networkProblems, parseNetworkFacts } from '../network/clashes.js';
import type { HostConnection } from '../ssh/connection.js';
import { planVolume } from '../storage/volume.js';
import { allItems, desiredItems, unwantedServices } from './desired.js';
import { forwardingProblems } from './forwarding.js';
import { factsWanted } from './preflight.js';
import { convergingStages, type ConvergingStage, type StageName } from './stages.js';

/** A host as a deployment finds it, before any change. */
export interface HostSurvey {
  readonly host: string;
  readonly facts: HostFacts;
  /** Packages that the spec requires on the host. */
  readonly packages: readonly string[];
  /** Problems with existing parts, such as an installation or a network; absent if there are none. */
  readonly problems?: readonly Problem[];
  /** What the Mesos agent needs; absent without one. */
  readonly agent?: AgentReport;
  /** What each stage will change, as far as known in advance. Stages without changes are absent. */
  readonly pending: Readonly<Partial<Record<StageName, readonly Change[]>>>;
}

/**
 * Surveys a host without changing it, in the same way for a deployment, `check` and `plan`.
 *
 * @param dirs of hosts that `spec` lacks and that may share the machine
 * @throws PerijoveError SSH_*, SHELL_REFUSED, PASSWORD_EXPIRED, SUDO_REFUSED
 */
export async function surveyOf(
  connection: HostConnection,
  spec: ClusterSpec,
  deps: ConvergeDeps,
  dirs: readonly string[] = [],
): Promise<HostSurvey> {
  const { host } = connection;
  const mesos = await observeMesos(connection, spec, signalOf(deps));
  const items = allItems(spec, host, mesos);
  const [facts, forwarding, network, volume, unwanted, changes, sources] = await Promise.all([
    gatherFacts(connection, factsWanted(spec, host, items, dirs), signalOf(deps)),
    forwardingProblems(connection, spec),
    observeNetwork(connection, spec, deps),
    planVolume(connection, spec),
    unwantedChanges(connection, spec),
    planChanges(connection, items, deps),
    sourceProblems(connection, items, deps),
  ]);
  // If nothing differs in total, no stage differs: one observation suffices.
  const planned =
    changes.length === 0
      ? []
      : await Promise.all(
          convergingStages.map(async (stage) => ({
            stage,
            changes: await planChanges(connection, desiredItems(spec, host, stage, mesos), deps),
          })),
        );
  const pending = new Map<StageName, readonly Change[]>();
  for (const part of [...planned, ...unwanted, { stage: 'storage' as const, changes: volume.changes }]) {
    if (part.changes.length === 0) continue;
    pending.set(part.stage, [...(pending.get(part.stage) ?? []), ...part.changes]);
  }
  const problems = [
    ...forwarding,
    ...installationProblems(spec, host, mesos),
    ...sources,
    ...network,
    ...volume.problems,
  ];
  const agent = agentReport(spec, host, mesos);
  return {
    host: host.name,
    facts,
    packages: items.packages,
    ...(problems.length === 0 ? {} : { problems }),
    ...(agent === undefined ? {} : { agent }),
    pending: Object.fromEntries(pending),
  };
}

/** What is wrong with the key of a source that is still to be added. */
async function sourceProblems(
  connection: HostConnection,
  { pinned = [] }: HostItems,
  deps: ConvergeDeps,
): Promise<readonly Problem[]> {
  const pending = await pendingPins(connection, pinned);
  const checks = pending.map(async ({ apt }): Promise<readonly Problem[]> => {
    try {
      if (apt !== undefined) await aptKey(apt, signalOf(deps));
      return [];
    } catch (error) {
      if (!(error instanceof PerijoveError)) throw error;
      const { code, message, remedy } = error;
      return [{ code, message, remedy }];
    }
  });
  return (await Promise.all(checks)).flat();
}

async function observeNetwork(
  connection: HostConnection,
  spec: ClusterSpec,
  deps: ConvergeDeps,
): Promise<readonly Problem[]> {
  if (spec.network.kind === 'flat') return [];
  const printed = await connection.run(networkFactsScript(connection.host), signalOf(deps));
  return networkProblems(spec, connection.host, parseNetworkFacts(printed));
}

async function unwantedChanges(
  connection: HostConnection,
  spec: ClusterSpec,
): Promise<readonly { readonly stage: ConvergingStage; readonly changes: readonly Change[] }[]> {
  const unwanted = unwantedServices(connection.host);
  if (unwanted.length === 0) return [];
  const services = await hostServices(connection, spec.name);
  const found = await services.status(unwanted.map(({ service }) => service));
  return unwanted.map(({ stage, service }) => ({
    stage,
    changes: found.some(({ name, state }) => name === service && state !== 'absent')
      ? [{ host: connection.host.name, what: `remove the service ${service}` }]
      : [],
  }));
}

function signalOf({ signal }: ConvergeDeps): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
