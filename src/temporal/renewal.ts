/** Moves a workflow that lives as long as its cluster to the current build of the workers. */
import {
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  type Client,
  type WorkflowExecutionDescription,
} from '@temporalio/client';
import type { UpdateDefinition } from '@temporalio/common';
import { pause } from '../net/pause.js';
import { untilAnswered, whyUnanswered } from './answers.js';
import { renewFramework, renewKeeper, workflowIds } from './contract.js';
import { incompatibilityOf } from './incompatibility.js';
import { pinnedTo, unpin, workersOf, type Build, type Versions } from './versions.js';

/** `there`: it was; `moved`: by a new run; `late`: it will, when what it does ends; `stuck`: it cannot be replayed. */
export type Renewal = 'absent' | 'there' | 'moved' | 'late' | 'stuck';

interface Lasting {
  readonly workflowId: string;
  readonly renew: UpdateDefinition<void, []>;
}

/** The workflows of a cluster that live as long as it does. */
export function lastingOf(cluster: string): readonly Lasting[] {
  return [
    { workflowId: workflowIds.framework(cluster), renew: renewFramework },
    { workflowId: workflowIds.keeper(cluster), renew: renewKeeper },
  ];
}

/** How long workers of the build that it is pinned to may take to answer, before another build continues the run. */
const patienceMs = 10_000;
const settleMs = 30_000;
const everyMs = 200;

/**
 * Has the workflow continue as a new run with the current build. Its present run is ended by the build that it is
 * pinned to; where no worker of that build answers, the current build continues the run itself.
 *
 * @param build the current one
 * @throws the signal's reason; what the server answers
 */
export async function renew(
  client: Client,
  { workflowId, renew: definition }: Lasting,
  {
    build,
    versions,
    signal,
  }: { readonly build: Build; readonly versions: Versions; readonly signal: AbortSignal },
): Promise<Renewal> {
  const handle = client.workflow.getHandle(workflowId);
  const describe = () =>
    untilAnswered(client, () => handle.describe(), { receiver: workflowId, signal, patienceMs });
  const before = await describe().catch(absent);
  if (before?.status.name !== 'RUNNING') return 'absent';
  const pin = pinnedTo(before);
  if (build === null ? lastBuild(before) === null : pin === build) return 'there';
  const updateId = crypto.randomUUID();
  const ask = async (firstMs: number, patience: number): Promise<boolean> => {
    try {
      const question = () =>
        client.workflow.getHandle(workflowId, before.runId).executeUpdate(definition, { updateId });
      await untilAnswered(client, question, { receiver: workflowId, signal, firstMs, patienceMs: patience });
      return true;
    } catch (error) {
      signal.throwIfAborted();
      // It has begun a new run, or ended.
      if (error instanceof WorkflowNotFoundError) return true;
      if (error instanceof WorkflowUpdateFailedError || whyUnanswered(error) !== undefined) return false;
      if (isPatienceOver(error)) return false;
      throw error;
    }
  };
  const answers = pin === undefined || workersOf(versions, pin).length > 0;
  let asked = answers && (await ask(patienceMs, 0));
  // Code without builds cannot replay what code with builds has recorded.
  if (!asked && pin !== undefined && build !== null) {
    await unpin(client, before);
    asked = await ask(patienceMs, patienceMs);
  }
  if (!asked) return (await isStuck(client, workflowId)) ? 'stuck' : 'late';
  return await settled(client, describe, { before, signal });
}

async function settled(
  client: Client,
  describe: () => Promise<WorkflowExecutionDescription>,
  { before, signal }: { readonly before: WorkflowExecutionDescription; readonly signal: AbortSignal },
): Promise<Renewal> {
  for (const end = Date.now() + settleMs; Date.now() < end; await pause(everyMs, signal)) {
    const now = await describe().catch(absent);
    if (now === undefined || now.status.name !== 'RUNNING') return 'absent';
    if (now.runId !== before.runId) return 'moved';
    if (await incompatibilityOf(client, now)) return 'stuck';
  }
  return 'late';
}

/** The build that made the last step of a run; null for one without a build ID. */
function lastBuild({ raw }: WorkflowExecutionDescription): Build {
  return raw.workflowExecutionInfo?.versioningInfo?.deploymentVersion?.buildId || null;
}

async function isStuck(client: Client, workflowId: string): Promise<boolean> {
  const described = await client.workflow.getHandle(workflowId).describe().catch(absent);
  return described !== undefined && (await incompatibilityOf(client, described)) !== undefined;
}

function isPatienceOver(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'WORKFLOW_NOT_ANSWERING';
}

function absent(error: unknown): undefined {
  if (error instanceof WorkflowNotFoundError) return undefined;
  throw error;
}
