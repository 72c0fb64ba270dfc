/** What a deployment does to nodes on hosts that may no longer hold them. */
import { isGrpcServiceError, WorkflowNotFoundError } from '@temporalio/client';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import { hostsThatLeave } from '../deployment/leaving.js';
import { messageOf, PerijoveError } from '../errors/error.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import { nodesToDrain } from '../mesos/scheduler/cordons.js';
import type { TemporalSettings } from '../temporal/connect.js';
import { memoKeys, workflowIds, type FrameworkState } from '../temporal/contract.js';
import { askWithin, storedState } from '../temporal/running.js';
import type { CommandContext } from './command.js';
import { withTemporal } from './temporal.js';

const askMs = 5_000;

export interface Drains {
  /** Nodes, by host, that will move to other hosts. */
  readonly nodes: Readonly<Record<string, readonly string[]>>;
  /** Hosts of the deployed cluster that the spec lacks: their services will end. */
  readonly leaving: readonly HostSpec[];
  /** As the framework has stored them, by node. */
  readonly tasks: FrameworkState['tasks'];
}

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
      if (found === undefined || state === undefined) return known({ nodes: {}, leaving: [], tasks: {} });
      const deployed = (found.memo?.[memoKeys.hosts] as readonly HostSpec[] | undefined) ?? [];
      const leaving = hostsThatLeave(spec, deployed, Object.keys(state.forgotten ?? {}));
      return known({ nodes: nodesToDrain(spec, state), leaving, tasks: state.tasks });
    });
  } catch (error) {
    context.signal.throwIfAborted();
    if (error instanceof PerijoveError || isGrpcServiceError(error)) return notKnown(messageOf(error));
    throw error;
  }
}

/** One sentence per host. */
export function drainLines(
  spec: ClusterSpec,
  { nodes, leaving: hosts }: Omit<Drains, 'tasks'>,
): readonly string[] {
  const leaving = hosts.map(({ name }) => name);
  return [...new Set([...Object.keys(nodes), ...leaving])].map((host) => {
    const moving = [...(nodes[host] ?? [])].sort();
    const what = moving.length === 1 ? '1 node' : `${moving.length} nodes`;
    const names = moving.length === 0 ? '' : ` (${moving.join(', ')})`;
    if (leaving.includes(host)) {
      const drained =
        moving.length === 0 ? 'its services end' : `${what} will be drained${names}, then its services end`;
      return `${host}: ${drained} (data kept)`;
    }
    const isLeaving = spec.hosts.every(({ name }) => name !== host);
    return `${host}${isLeaving ? ', which the spec lacks' : ''}: ${what} will move to other hosts${names}`;
  });
}
