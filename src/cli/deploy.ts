/** Starting a deployment, or finding the one that runs, and following it. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  WithStartWorkflowOperation,
  WorkflowFailedError,
  type Client,
  type WorkflowHandle,
} from '@temporalio/client';
import type { ClusterSpec } from '../cluster/spec.js';
import { specDigest } from '../cluster/digest.js';
import {
  attachDeploy,
  deployProgress,
  workflowIds,
  workflowNames,
  type DeployInput,
  type DeployProgress,
  type DeployResult,
} from '../temporal/contract.js';
import { messageOf } from '../errors/error.js';
import { temporalError } from '../temporal/connect.js';
import { askWithin, storedState } from '../temporal/running.js';
import { startOptions } from '../temporal/start-options.js';
import { aborted } from './aborted.js';
import type { ProgressView } from './progress-view.js';
import { noWorker, waitsOf } from './waits.js';

export interface StartedDeploy {
  readonly workflowId: string;
  /** No worker took it up within some seconds, and none has since. */
  readonly untaken: boolean;
}

export type Outcome =
  | { readonly kind: 'done'; readonly result: DeployResult }
  | { readonly kind: 'detached' }
  /** `error` is what the workflow failed with. */
  | { readonly kind: 'failed'; readonly progress?: DeployProgress; readonly error: unknown };

/** A worker that runs takes up a workflow at once; this long without one is worth a word. */
const patienceMs = 5_000;
const pollMs = 300;
const askMs = 2_000;
/** A stage that takes longer than this may be waiting for something; then it is asked this often what for. */
const waitMs = 2_000;

/**
 * Starts the deployment of `spec`, or attaches to the one of the same spec that runs. With `onWait` it says when
 * no worker takes it up, and goes on waiting until the signal aborts.
 *
 * @throws WorkflowUpdateFailedError with SPEC_DIFFERS while a deployment of another spec runs
 */
export async function startDeploy(
  client: Client,
  spec: ClusterSpec,
  { signal, onWait }: { readonly signal: AbortSignal; readonly onWait: () => void },
): Promise<StartedDeploy> {
  const digest = specDigest(spec);
  const input: DeployInput = { spec, digest };
  const workflowId = workflowIds.deploy(spec.name);
  const attach = () =>
    client.workflow.executeUpdateWithStart(attachDeploy, {
      args: [digest],
      startWorkflowOperation: new WithStartWorkflowOperation(workflowNames.deploy, {
        workflowId,
        args: [input],
        workflowIdConflictPolicy: 'USE_EXISTING',
        ...startOptions(spec.name, `Deploy ${spec.name}`),
      }),
    });
  const attached = client.connection.withAbortSignal(signal, attach).then(() => 'accepted' as const);
  // Whoever stops waiting for it below does not want to hear of it any more.
  attached.catch(() => undefined);
  const patience = new AbortController();
  const late = delay(patienceMs, 'late' as const, { signal: patience.signal }).catch(() => 'late' as const);
  const stopped = aborted(signal);
  try {
    if ((await Promise.race([attached, late, stopped])) !== 'late') return { workflowId, untaken: false };
    onWait();
    return { workflowId, untaken: (await Promise.race([attached, stopped])) === 'aborted' };
  } finally {
    patience.abort();
  }
}

/** Shows the progress of a deployment until it ends, or the signal aborts: then it goes on by itself. */
export async function followDeploy(
  client: Client,
  workflowId: string,
  view: ProgressView,
  signal: AbortSignal,
): Promise<Outcome> {
  const handle = client.workflow.getHandle(workflowId);
  const result = outcomeOf(client, handle, signal);
  const stopped = aborted(signal);
  let outcome: Outcome | undefined;
  void result.then((value) => (outcome = value));
  let progress: DeployProgress | undefined;
  let heardAt = Date.now();
  let waits: readonly string[] = [];
  let waitsAt = Date.now();
  let stage: string | undefined;
  for (;;) {
    const { own, stored, notice } = await look(client, handle);
    if (own) heardAt = Date.now();
    // What is stored has less in it than what was heard before.
    progress = own ?? progress ?? stored;
    const running = progress?.stages.find(({ state }) => state === 'running')?.name;
    if (running !== stage) {
      stage = running;
      waits = [];
      waitsAt = Date.now();
    } else if (own && Date.now() - waitsAt > waitMs) {
      const texts = await askWithin(client, askMs, () => waitsOf(client, workflowId)).catch(() => undefined);
      waits = texts?.map((text) => `${stage}: waiting: ${text}`) ?? waits;
      waitsAt = Date.now();
    }
    if (own) view.show(progress, waits);
    else view.show(progress, notice !== undefined && Date.now() - heardAt > patienceMs ? [notice] : []);
    if (outcome) break;
    await Promise.race([delay(pollMs), result, stopped]);
    if (signal.aborted) return { kind: 'detached' };
  }
  // The deployment ended between the last look and its end.
  const last = await look(client, handle);
  progress = last.own ?? progress ?? last.stored;
  view.show(progress, []);
  return outcome.kind === 'failed' && progress ? { ...outcome, progress } : outcome;
}

/** How the deployment ended. A server that restarts meanwhile is waited for. Never rejects. */
async function outcomeOf(client: Client, handle: WorkflowHandle, signal: AbortSignal): Promise<Outcome> {
  for (;;) {
    try {
      const ask = (): Promise<DeployResult> => handle.result();
      return { kind: 'done', result: await client.connection.withAbortSignal(signal, ask) };
    } catch (error) {
      if (signal.aborted) return { kind: 'detached' };
      const gone = !(error instanceof WorkflowFailedError) && temporalError(error, '') !== undefined;
      if (!gone) return { kind: 'failed', error };
      await delay(pollMs);
    }
  }
}

interface Look {
  /** The workflow's own word. */
  readonly own?: DeployProgress;
  /** What it stored last, where no worker answers for it. */
  readonly stored?: DeployProgress;
  /** Why there is no word of its own. */
  readonly notice?: string;
}

async function look(client: Client, handle: WorkflowHandle): Promise<Look> {
  try {
    return { own: await askWithin(client, askMs, () => handle.query(deployProgress)) };
  } catch {
    try {
      const stored = storedState<DeployProgress>(await askWithin(client, askMs, () => handle.describe()));
      return { ...(stored && { stored }), notice: noWorker };
    } catch (error) {
      const why = messageOf(error);
      return { notice: `the Temporal server does not answer (${why}); the deployment resumes with it` };
    }
  }
}
