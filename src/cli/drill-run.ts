/** Starts a drill, follows it to its end, and reads its evidence. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  type Client,
  type WorkflowExecutionDescription,
  type WorkflowHandle,
} from '@temporalio/client';
import type { DrillEvent } from '../drill/evidence.js';
import type { Watched } from '../drill/model.js';
import { PerijoveError } from '../errors/error.js';
import { temporalError } from '../temporal/connect.js';
import {
  workflowIds,
  workflowNames,
  type DrillInput,
  type DrillState,
  type Evidence,
} from '../temporal/contract.js';
import { askWithin, storedState } from '../temporal/running.js';
import { startOptions } from '../temporal/start-options.js';

type DrillHandle = WorkflowHandle<(input: DrillInput) => Promise<Evidence>>;

const pollMs = 300;
const askMs = 3_000;
const patienceMs = 5_000;

function handleOf(client: Client, cluster: string, number: number): DrillHandle {
  return client.workflow.getHandle(workflowIds.drill(cluster, number));
}

/** Undefined if the drill does not exist. */
async function describe(handle: DrillHandle): Promise<WorkflowExecutionDescription | undefined> {
  try {
    return await handle.describe();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/**
 * The highest drill number of the cluster, 0 before the first. The server's list may lag, so newer drills are
 * looked up by ID.
 */
export async function newestDrill(client: Client, cluster: string): Promise<number> {
  const prefix = workflowIds.drill(cluster, 0).slice(0, -1);
  let newest = 0;
  for await (const { workflowId } of client.workflow.list({
    query: `WorkflowType = '${workflowNames.drill}' AND WorkflowId STARTS_WITH '${prefix}'`,
  })) {
    newest = Math.max(newest, Number(workflowId.slice(prefix.length)) || 0);
  }
  while (await describe(handleOf(client, cluster, newest + 1))) newest += 1;
  return newest;
}

/**
 * Starts the next drill of the cluster. Of two started at the same time, one is rejected.
 *
 * @throws PerijoveError DRILL_RUNNING
 */
export async function startDrill(client: Client, input: Omit<DrillInput, 'number'>): Promise<DrillHandle> {
  const cluster = input.spec.name;
  const newest = await newestDrill(client, cluster);
  const last = newest > 0 ? await describe(handleOf(client, cluster, newest)) : undefined;
  const running = (number: number) =>
    new PerijoveError('DRILL_RUNNING', `drill ${number} of ${cluster} is running`, {
      subject: `drill ${number}`,
    });
  if (last?.status.name === 'RUNNING') throw running(newest);
  const number = newest + 1;
  try {
    return await client.workflow.start(workflowNames.drill, {
      workflowId: workflowIds.drill(cluster, number),
      args: [{ ...input, number }],
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      ...startOptions(cluster, `Drill ${input.drill} on ${cluster}`),
    });
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) throw running(number);
    throw error;
  }
}

export interface Follower {
  onState(state: DrillState): void;
  /** `event.at` is milliseconds after the fault. */
  onEvent(event: DrillEvent): void;
  /** No worker has accepted it. */
  onWait(): void;
}

/**
 * Follows a drill to its end. When the signal aborts, the drill is cancelled: it heals and then ends.
 *
 * @throws WorkflowFailedError with the code of the failure
 */
export async function followDrill(
  client: Client,
  handle: DrillHandle,
  follower: Follower,
  signal: AbortSignal,
): Promise<Evidence> {
  const startedAt = Date.now();
  const reported = new Set<string>();
  let phase: string | undefined;
  let cancelled = false;
  let waits = false;
  for (;;) {
    try {
      const description = await askWithin(client, askMs, () => handle.describe());
      const state = storedState<DrillState>(description);
      if (state && state.phase !== phase) {
        phase = state.phase;
        follower.onState(state);
      }
      for (const event of eventsOf(client, description)) {
        const key = `${event.kind} ${event.what} ${event.at}`;
        if (!reported.has(key)) follower.onEvent(event);
        reported.add(key);
      }
      if (description.status.name !== 'RUNNING') return await handle.result();
      const untaken = description.historyLength <= 2 && Date.now() - startedAt > patienceMs;
      if (untaken && !waits) follower.onWait();
      waits ||= untaken;
      if (signal.aborted && !cancelled) {
        await handle.cancel();
        cancelled = true;
      }
    } catch (error) {
      // The server or the connection to it is temporarily gone: the drill continues.
      if (!temporalError(error, '')) throw error;
    }
    await delay(pollMs, undefined, cancelled ? {} : { signal }).catch(() => undefined);
  }
}

/** The state of a drill, and its evidence if available. Needs no worker. */
export async function readDrill(
  client: Client,
  cluster: string,
  number: number,
): Promise<{
  readonly state: DrillState | undefined;
  readonly evidence?: Evidence;
  readonly ended: boolean;
}> {
  const handle = handleOf(client, cluster, number);
  const description = await describe(handle);
  if (!description) {
    const newest = await newestDrill(client, cluster);
    throw new PerijoveError('DRILL_UNKNOWN', `${cluster} has no drill ${number}`, {
      subject: `drill ${number}`,
      remedy:
        newest === 0
          ? 'Run one with `perijove drill run`.'
          : `The newest one is ${newest}: \`perijove drill report ${newest}\`.`,
    });
  }
  const state = storedState<DrillState>(description);
  const ended = description.status.name !== 'RUNNING';
  if (description.status.name !== 'COMPLETED') return { state, ended };
  return { state, ended, evidence: await handle.result() };
}

/** The probe's events in its last heartbeat, from the fault on. */
function eventsOf(client: Client, { raw }: WorkflowExecutionDescription): DrillEvent[] {
  const payload = raw.pendingActivities?.[0]?.heartbeatDetails?.payloads?.[0];
  if (!payload) return [];
  const observation = client.options.loadedDataConverter.payloadConverter.fromPayload<Watched | null>(
    payload,
  );
  const faultAt = observation?.faultAt;
  if (!observation?.events || faultAt === undefined) return [];
  return observation.events
    .map((event) => ({ ...event, at: event.at - faultAt }))
    .filter(({ kind, at }) => at >= 0 || kind === 'fault');
}
