/** Starts a deployment or attaches to a running one, and follows it. */
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
  /** No worker has accepted it. */
  readonly untaken: boolean;
}

export type Outcome =
  | { readonly kind: 'done'; readonly result: DeployResult }
  | { readonly kind: 'detached' }
  /** `error` is what the workflow failed with. */
  | { readonly kind: 'failed'; readonly progress?: DeployProgress; readonly error: unknown };

/** A running worker accepts a workflow at once; after this long without one, the user is notified. */
const patienceMs = 5_000;
const pollMs = 300;
const askMs = 2_000;
/** A stage that takes longer may be waiting; this is also how often it is queried for the reason. */
const waitMs = 2_000;

/**
 * Starts the deployment of `spec`, or attaches to a running one of the same spec. Calls `onWait` while no
 * worker accepts it, and keeps waiting until the signal aborts.
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
  // Once nothing below awaits it, its failure does not matter.
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

/** Shows a deployment's progress until it ends or the signal aborts; the deployment then continues. */
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
  let answeredAt = Date.now();
  let waits: readonly string[] = [];
  let waitsAt = Date.now();
  let stage: string | undefined;
  for (;;) {
    const { live, stored, notice } = await observe(client, handle);
    if (live) answeredAt = Date.now();
    // The stored progress has less detail than an earlier live one.
    progress = live ?? progress ?? stored;
    const running = progress?.stages.find(({ state }) => state === 'running')?.name;
    if (running !== stage) {
      stage = running;
      waits = [];
      waitsAt = Date.now();
    } else if (live && Date.now() - waitsAt > waitMs) {
      const texts = await askWithin(client, askMs, () => waitsOf(client, workflowId)).catch(() => undefined);
      waits = texts?.map((text) => `${stage}: waiting: ${text}`) ?? waits;
      waitsAt = Date.now();
    }
    if (live) view.show(progress, waits);
    else view.show(progress, notice !== undefined && Date.now() - answeredAt > patienceMs ? [notice] : []);
    if (outcome) break;
    await Promise.race([delay(pollMs), result, stopped]);
    if (signal.aborted) return { kind: 'detached' };
  }
  // It may have made progress between the last observation and its end.
  const last = await observe(client, handle);
  progress = last.live ?? progress ?? last.stored;
  view.show(progress, []);
  return outcome.kind === 'failed' && progress ? { ...outcome, progress } : outcome;
}

/** The outcome of the deployment. Waits while the server restarts. Never rejects. */
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

interface ProgressObservation {
  /** The workflow's reply. */
  readonly live?: DeployProgress;
  /** Last stored progress, used when no worker responds. */
  readonly stored?: DeployProgress;
  /** Why it does not respond. */
  readonly notice?: string;
}

async function observe(client: Client, handle: WorkflowHandle): Promise<ProgressObservation> {
  try {
    return { live: await askWithin(client, askMs, () => handle.query(deployProgress)) };
  } catch {
    try {
      const stored = storedState<DeployProgress>(await askWithin(client, askMs, () => handle.describe()));
      return { ...(stored && { stored }), notice: noWorker };
    } catch (error) {
      const why = messageOf(error);
      return {
        notice: `the Temporal server is not responding (${why}); the deployment resumes when it returns`,
      };
    }
  }
}
