/** Starts a drill, follows it to its end, and reads its evidence. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  WorkflowExecutionAlreadyStartedError,
  type Client,
  type WorkflowExecutionDescription,
  type WorkflowHandle,
} from '@temporalio/client';
import type { DrillEvent } from '../drill/evidence.js';
import type { Watched } from '../drill/model.js';
import { PerijoveError } from '../errors/error.js';
import { untilAnswered, whyUnanswered } from '../temporal/answers.js';
import {
  workflowIds,
  workflowNames,
  type DrillInput,
  type DrillState,
  type Evidence,
} from '../temporal/contract.js';
import { describeDrill, newestDrill as newest, type Ask } from '../temporal/drills.js';
import { decodePayload } from '../temporal/payload-codec.js';
import { askWithin, storedState } from '../temporal/running.js';
import { startOptions } from '../temporal/start-options.js';
import { silenceOf } from './waits.js';

type DrillHandle = WorkflowHandle<(input: DrillInput) => Promise<Evidence>>;

const pollMs = 300;
const askMs = 3_000;
const patienceMs = 5_000;
const describePatienceMs = 20_000;

function handleOf(client: Client, cluster: string, number: number): DrillHandle {
  return client.workflow.getHandle(workflowIds.drill(cluster, number));
}

function asking(client: Client): Ask {
  const { signal } = new AbortController();
  return (receiver, question) =>
    untilAnswered(client, question, { receiver, signal, patienceMs: describePatienceMs });
}

/** The highest drill number of the cluster, 0 before the first. */
export async function newestDrill(client: Client, cluster: string): Promise<number> {
  return await newest(client, cluster, asking(client));
}

/**
 * Starts the next drill of the cluster. Of two started at the same time, one is rejected.
 *
 * @throws PerijoveError DRILL_RUNNING
 */
export async function startDrill(client: Client, input: Omit<DrillInput, 'number'>): Promise<DrillHandle> {
  const cluster = input.spec.name;
  const ask = asking(client);
  const number = (await newest(client, cluster, ask)) + 1;
  const last = await describeDrill(client, { cluster, number: number - 1, ask });
  const running = (which: number) =>
    new PerijoveError('DRILL_RUNNING', `drill ${which} of ${cluster} is running`, {
      subject: `drill ${which}`,
    });
  if (last?.status.name === 'RUNNING') throw running(number - 1);
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
  /** No worker has accepted it; `why` is for users. */
  onWait(why: string): void;
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
      for (const event of await eventsOf(client, description)) {
        const key = `${event.kind} ${event.what} ${event.at}`;
        if (!reported.has(key)) follower.onEvent(event);
        reported.add(key);
      }
      if (description.status.name !== 'RUNNING') return await handle.result();
      const untaken = description.historyLength <= 2 && Date.now() - startedAt > patienceMs;
      if (untaken && !waits) follower.onWait(await silenceOf(client, handle.workflowId, startedAt));
      waits ||= untaken;
      if (signal.aborted && !cancelled) {
        await handle.cancel();
        cancelled = true;
      }
    } catch (error) {
      // The server or the connection to it is temporarily gone: the drill continues.
      if (whyUnanswered(error) === undefined) throw error;
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
  const description = await describeDrill(client, { cluster, number, ask: asking(client) });
  if (!description) {
    const last = await newestDrill(client, cluster);
    throw new PerijoveError('DRILL_UNKNOWN', `${cluster} has no drill ${number}`, {
      subject: `drill ${number}`,
      remedy:
        last === 0
          ? 'Run one with `perijove drill run`.'
          : `The newest one is ${last}: \`perijove drill report ${last}\`.`,
    });
  }
  const state = storedState<DrillState>(description);
  const ended = description.status.name !== 'RUNNING';
  if (description.status.name !== 'COMPLETED') return { state, ended };
  return { state, ended, evidence: await handle.result() };
}

/** The probe's events in its last heartbeat, from the fault on. */
async function eventsOf(client: Client, { raw }: WorkflowExecutionDescription): Promise<DrillEvent[]> {
  const payload = raw.pendingActivities?.[0]?.heartbeatDetails?.payloads?.[0];
  if (!payload) return [];
  const observation = await decodePayload<Watched | null>(client.options.loadedDataConverter, payload);
  const faultAt = observation?.faultAt;
  if (!observation?.events || faultAt === undefined) return [];
  return observation.events
    .map((event) => ({ ...event, at: event.at - faultAt }))
    .filter(({ kind, at }) => at >= 0 || kind === 'fault');
}
