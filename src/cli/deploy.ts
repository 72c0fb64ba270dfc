/** Starts a deployment or attaches to a running one, and follows it. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  WithStartWorkflowOperation,
  WorkflowNotFoundError,
  type Client,
  type WorkflowHandle,
} from '@temporalio/client';
import type { HostKeys } from '../cluster/host-keys.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { specDigest } from '../cluster/digest.js';
import {
  attachDeploy,
  deployProgress,
  memoKeys,
  workflowIds,
  workflowNames,
  type DeployInput,
  type DeployProgress,
  type DeployResult,
} from '../temporal/contract.js';
import { untilAnswered, whyUnanswered } from '../temporal/answers.js';
import { askWithin, storedState } from '../temporal/running.js';
import { startOptions } from '../temporal/start-options.js';
import { aborted } from './aborted.js';
import type { ProgressView } from './progress-view.js';
import { endMisfit } from './misfit.js';
import { silenceOf, waitsOf } from './waits.js';

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
/** How long the server holds an update that no worker accepts. */
const longPollMs = 20_000;
const askMs = 2_000;
/** A stage that takes longer may be waiting; this is also how often it is queried for the reason. */
const waitMs = 2_000;

/**
 * Starts the deployment of `spec`, or attaches to a running one of the same spec. Until the signal aborts, waits for a
 * worker to accept it, or for a running one to resume after its workers were away. `onWait` receives what it waits for,
 * whenever that changes.
 *
 * @throws WorkflowUpdateFailedError with SPEC_DIFFERS while a deployment of another spec runs
 */
export async function startDeploy(
  client: Client,
  spec: ClusterSpec,
  {
    signal,
    onWait,
    purgeRemoved = false,
    seen,
    rotates,
  }: {
    readonly signal: AbortSignal;
    readonly onWait: (text: string) => void;
    readonly purgeRemoved?: boolean;
    /** The keys of hosts that this machine has seen. */
    readonly seen?: HostKeys;
    /** The secrets that it replaces. */
    readonly rotates?: readonly string[];
  },
): Promise<StartedDeploy> {
  const digest = specDigest(spec);
  const input = { spec, digest, ...(seen && { seen }), ...(purgeRemoved && { purgeRemoved }) };
  const workflowId = workflowIds.deploy(spec.name);
  const askedAt = Date.now();
  await endMisfit(client, workflowId, { signal, onWait });
  const attach = attaching(client, {
    ...{ workflowId, input, title: `Deploy ${spec.name}`, askedAt },
    ...(rotates && { rotates }),
  });
  const attached = untilAnswered(client, attach, { receiver: workflowId, signal, firstMs: longPollMs }).then(
    () => 'accepted' as const,
    (error: unknown) => {
      if (!signal.aborted) throw error;
      return 'aborted' as const;
    },
  );
  // Once nothing below waits for it, its failure does not matter.
  attached.catch(() => undefined);
  const ended = new AbortController();
  const stopped = aborted(signal);
  let reported: string | undefined;
  try {
    for (;;) {
      const late = delay(patienceMs, 'late' as const, { signal: ended.signal }).catch(() => 'late' as const);
      const first = await Promise.race([attached, late, stopped]);
      if (first !== 'late') return { workflowId, untaken: first === 'aborted' && reported !== undefined };
      const text = await Promise.race([silenceOf(client, workflowId, askedAt), attached, stopped]);
      if (text === 'accepted' || text === 'aborted' || text === reported) continue;
      if (await endMisfit(client, workflowId, { signal, onWait })) continue;
      reported = text;
      onWait(text);
    }
  } finally {
    ended.abort();
  }
}

interface Attaching {
  readonly workflowId: string;
  readonly input: DeployInput & { readonly digest: string };
  readonly title: string;
  /** Milliseconds since the epoch. */
  readonly askedAt: number;
  readonly rotates?: readonly string[];
}

/**
 * Starts the deployment or attaches to it; to be called until it is answered. If a deployment was running when there
 * was no answer, only that one is attached to, even if it ends meanwhile: no second one is started after it.
 */
function attaching(
  client: Client,
  { workflowId, input, title, askedAt, rotates }: Attaching,
): () => Promise<void> {
  const { spec, digest } = input;
  const updateId = crypto.randomUUID();
  let silent: WorkflowHandle | undefined;
  const start = () =>
    client.workflow.executeUpdateWithStart(attachDeploy, {
      args: [digest],
      updateId,
      startWorkflowOperation: new WithStartWorkflowOperation(workflowNames.deploy, {
        workflowId,
        args: [input],
        workflowIdConflictPolicy: 'USE_EXISTING',
        ...(rotates && { memo: { [memoKeys.rotates]: rotates } }),
        ...startOptions(spec.name, title),
      }),
    });
  return async () => {
    if (silent === undefined) {
      try {
        await start();
      } catch (error) {
        if (whyUnanswered(error) !== undefined) {
          silent = await runSince(client, workflowId, askedAt).catch(() => undefined);
        }
        throw error;
      }
      return;
    }
    try {
      await silent.executeUpdate(attachDeploy, { args: [digest], updateId });
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      const ended = await silent.describe();
      const isKept = ended.status.name !== 'TERMINATED';
      if (isKept && storedState<DeployProgress>(ended)?.digest === digest) return;
      // It deployed another spec, or could not be continued, and has ended.
      await start();
    }
  };
}

/** The run of a deployment that is running, or that started since then. */
async function runSince(
  client: Client,
  workflowId: string,
  since: number,
): Promise<WorkflowHandle | undefined> {
  const { status, startTime, runId } = await askWithin(client, askMs, () =>
    client.workflow.getHandle(workflowId).describe(),
  );
  const isMeant = status.name === 'RUNNING' || startTime.getTime() >= since;
  return isMeant ? client.workflow.getHandle(workflowId, runId) : undefined;
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
    const { live, stored, notice } = await observe(client, handle, answeredAt);
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
  const last = await observe(client, handle, answeredAt);
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
      if (whyUnanswered(error) === undefined) return { kind: 'failed', error };
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

/** @param answeredAt when it answered last, in milliseconds since the epoch */
async function observe(
  client: Client,
  handle: WorkflowHandle,
  answeredAt: number,
): Promise<ProgressObservation> {
  try {
    return { live: await askWithin(client, askMs, () => handle.query(deployProgress)) };
  } catch {
    const [stored, notice] = await Promise.all([
      askWithin(client, askMs, () => handle.describe())
        .then((described) => storedState<DeployProgress>(described))
        .catch(() => undefined),
      silenceOf(client, handle.workflowId, answeredAt),
    ]);
    return { ...(stored && { stored }), notice };
  }
}
