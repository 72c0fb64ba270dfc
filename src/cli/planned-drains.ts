/** What a deployment does to nodes on hosts that may no longer hold them. */
import { isGrpcServiceError, WorkflowNotFoundError } from '@temporalio/client';
import type { ClusterSpec } from '../cluster/spec.js';
import { messageOf, PerijoveError } from '../errors/error.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import { nodesToDrain } from '../mesos/scheduler/cordons.js';
import type { TemporalSettings } from '../temporal/connect.js';
import { workflowIds, type FrameworkState } from '../temporal/contract.js';
import { askWithin, storedState } from '../temporal/running.js';
import type { CommandContext } from './command.js';
import { withTemporal } from './temporal.js';

const askMs = 5_000;

/** Nodes, by host, that will move to other hosts. */
export type Drains = Readonly<Record<string, readonly string[]>>;

/** By the state that the framework stored, so no worker is needed; no nodes where no framework runs. */
export async function plannedDrains(
  context: CommandContext,
  settings: TemporalSettings,
  spec: ClusterSpec,
): Promise<Observation<Drains>> {
  try {
    return await withTemporal(settings, async ({ client }) => {
      const handle = client.workflow.getHandle(workflowIds.framework(spec.name));
      const found = await askWithin(client, askMs, () => handle.describe()).catch((error: unknown) => {
        if (error instanceof WorkflowNotFoundError) return undefined;
        throw error;
      });
      const state = found?.status.name === 'RUNNING' ? storedState<FrameworkState>(found) : undefined;
      return known(state === undefined ? {} : nodesToDrain(spec, state));
    });
  } catch (error) {
    context.signal.throwIfAborted();
    if (error instanceof PerijoveError || isGrpcServiceError(error)) return notKnown(messageOf(error));
    throw error;
  }
}

/** One sentence per host. */
export function drainLines(spec: ClusterSpec, drains: Drains): readonly string[] {
  return Object.entries(drains).map(([host, nodes]) => {
    const isLeaving = spec.hosts.every(({ name }) => name !== host);
    const what = nodes.length === 1 ? '1 node' : `${nodes.length} nodes`;
    return `${host}${isLeaving ? ', which the spec lacks' : ''}: ${what} will move to other hosts (${[...nodes].sort().join(', ')})`;
  });
}
