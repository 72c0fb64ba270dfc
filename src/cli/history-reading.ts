/** Reads from the Temporal server what was done to a cluster. Asks no worker. */
import type { Client } from '@temporalio/client';
import type { LoadedDataConverter, Payload } from '@temporalio/common';
import proto, { type temporal } from '@temporalio/proto';
import pLimit from 'p-limit';
import { untilAnswered } from '../temporal/answers.js';
import { drillPrefix, memoKeys, workflowIds, type WorkflowName } from '../temporal/contract.js';
import { decodeFailure, decodePayload } from '../temporal/payload-codec.js';
import {
  entriesOfRuns,
  entryOfUpdate,
  isOperation,
  type Failure,
  type HistoryEntry,
  type Outcome,
  type RunRecord,
  type UpdateRecord,
} from './history-entries.js';
import { reportOf } from './report.js';

type Event = temporal.api.history.v1.IHistoryEvent;
type Execution = temporal.api.workflow.v1.IWorkflowExecutionInfo;
type Timestamp = Execution['startTime'];

/** What `history --json` prints. */
export interface ClusterHistory {
  readonly cluster: string;
  /** The latest first. */
  readonly entries: readonly HistoryEntry[];
  /** For how long the server keeps a workflow after its end; null if it does not report it. */
  readonly retentionMs: number | null;
  /** ISO 8601: what ended before is no longer kept; null if unknown. */
  readonly keptSince: string | null;
  readonly read: {
    readonly workflows: number;
    readonly events: number;
    /** Runs of the keeper and the framework beyond the limit, whose updates were not read. */
    readonly skippedRuns: boolean;
    /** Payloads that could not be decrypted with the keys of this machine. */
    readonly unreadable: number;
  };
}

/** The keeper and the framework continue as new at some 500 events. */
const mostRuns = 50;
const mostEvents = 5_000;
const pageEvents = 1_000;
/** The end of a run, and before it who asked for its cancellation. */
const lastEvents = 20;
const atOnce = 4;
const patienceMs = 20_000;

interface Decoding {
  readonly converter: LoadedDataConverter;
  readonly count: { unreadable: number };
}

interface Reader extends Decoding {
  readonly client: Client;
  readonly signal: AbortSignal;
  readonly count: { workflows: number; events: number; unreadable: number };
}

/**
 * The latest operations on a cluster, at most `limit`.
 *
 * @throws PerijoveError WORKFLOW_NOT_ANSWERING; the signal's reason; errors of Temporal's client
 */
export async function readHistory(
  client: Client,
  {
    cluster,
    limit,
    signal,
  }: { readonly cluster: string; readonly limit: number; readonly signal: AbortSignal },
): Promise<ClusterHistory> {
  const count = { workflows: 0, events: 0, unreadable: 0 };
  const reader: Reader = { client, converter: client.options.loadedDataConverter, signal, count };
  const [retentionMs, runs, ...updates] = await Promise.all([
    retentionOf(reader),
    readRuns(reader, cluster, limit),
    readUpdates(reader, workflowIds.keeper(cluster), limit),
    readUpdates(reader, workflowIds.framework(cluster), limit),
  ]);
  const entries = [...entriesOfRuns(runs).slice(0, limit), ...updates.flatMap(({ entries: found }) => found)];
  return {
    cluster,
    entries: entries.toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at)).slice(0, limit),
    retentionMs,
    keptSince: retentionMs === null ? null : new Date(Date.now() - retentionMs).toISOString(),
    read: { ...count, skippedRuns: updates.some(({ skipped }) => skipped) },
  };
}

function ask<T>({ client, signal }: Reader, receiver: string, question: () => Promise<T>): Promise<T> {
  return untilAnswered(client, question, { receiver, signal, patienceMs });
}

async function retentionOf(reader: Reader): Promise<number | null> {
  const { client } = reader;
  const { namespace } = client.options;
  const { config } = await ask(reader, namespace, () =>
    client.workflowService.describeNamespace({ namespace }),
  );
  const ttl = config?.workflowExecutionRetentionTtl;
  return ttl ? Number(ttl.seconds ?? 0) * 1_000 : null;
}

// --- runs -----------------------------------------------------------------------------------------------

/** Deployments, teardowns, recoveries and drills: one more than `limit`, to compare the oldest spec with. */
async function readRuns(reader: Reader, cluster: string, limit: number): Promise<RunRecord[]> {
  const own = (['deploy', 'teardown', 'recovery'] as const).map((name) => `'${workflowIds[name](cluster)}'`);
  const drills = drillPrefix(cluster);
  const query = `WorkflowId IN (${own.join(', ')}) OR WorkflowId STARTS_WITH '${drills}'`;
  const { executions } = await list(reader, query, limit + 1);
  const atMost = pLimit(atOnce);
  return Promise.all(executions.map((execution) => atMost(() => readRun(reader, execution))));
}

/** The executions of a query: those that run, then the last that ended. */
async function list(reader: Reader, query: string, most: number) {
  const { client } = reader;
  const executions: Execution[] = [];
  let nextPageToken: Uint8Array | undefined;
  do {
    const request = {
      ...{ namespace: client.options.namespace, query, pageSize: Math.min(most, 100) },
      ...(nextPageToken && { nextPageToken }),
    };
    const page = await ask(reader, 'the list of workflows', () =>
      client.workflowService.listWorkflowExecutions(request),
    );
    executions.push(...page.executions);
    nextPageToken = page.nextPageToken.length > 0 ? page.nextPageToken : undefined;
  } while (nextPageToken && executions.length < most);
  return {
    executions: executions.slice(0, most),
    more: nextPageToken !== undefined || executions.length > most,
  };
}

async function readRun(reader: Reader, execution: Execution): Promise<RunRecord> {
  const [first, last] = await Promise.all([
    readEvents(reader, execution, { most: 1 }),
    readEvents(reader, execution, { most: lastEvents, reverse: true }),
  ]);
  reader.count.workflows += 1;
  const started = first[0]?.workflowExecutionStartedEventAttributes;
  const outcome = outcomes[statusOf(execution)] ?? 'unknown';
  const [close] = last;
  const memo = execution.memo?.fields ?? {};
  return {
    ...placeOf(execution),
    workflow: (execution.type?.name ?? '') as WorkflowName,
    startedAt: timeOf(execution.startTime) ?? '',
    endedAt: timeOf(execution.closeTime),
    who: started?.identity || (await starterOf(reader, started?.parentWorkflowExecution)),
    outcome,
    failure: await failureOfRun(reader, outcome, last),
    input: await decoded(reader, started?.input?.payloads?.[0]),
    state: await decoded(reader, memo[memoKeys.state]),
    rotates: await decoded(reader, memo[memoKeys.rotates]),
    result: await decoded(reader, close?.workflowExecutionCompletedEventAttributes?.result?.payloads?.[0]),
  };
}

const outcomes: Readonly<Record<string, Outcome>> = {
  RUNNING: 'running',
  COMPLETED: 'done',
  CONTINUED_AS_NEW: 'done',
  FAILED: 'failed',
  CANCELED: 'canceled',
  TERMINATED: 'terminated',
  TIMED_OUT: 'timed_out',
};

function statusOf({ status }: Execution): string {
  const { WorkflowExecutionStatus } = proto.temporal.api.enums.v1;
  return (WorkflowExecutionStatus[status ?? 0] ?? '').replace('WORKFLOW_EXECUTION_STATUS_', '');
}

function placeOf({ execution }: Execution) {
  return { workflowId: execution?.workflowId ?? '', runId: execution?.runId ?? '' };
}

/** A child has no client of its own: it is from whoever started its parent, such as a Schedule. */
async function starterOf(
  reader: Reader,
  parent: temporal.api.common.v1.IWorkflowExecution | null | undefined,
): Promise<string | null> {
  if (!parent) return null;
  const [first] = await readEvents(reader, { execution: parent }, { most: 1 }).catch(() => []);
  return first?.workflowExecutionStartedEventAttributes?.identity || null;
}

/** Why it was ended, and who asked for that. @param events the latest first */
async function failureOfRun(
  reader: Reader,
  outcome: Outcome,
  [close, ...before]: readonly Event[],
): Promise<Failure | null> {
  const failure = close?.workflowExecutionFailedEventAttributes?.failure;
  if (failure) return failureOf(reader, failure);
  const terminated = close?.workflowExecutionTerminatedEventAttributes;
  if (terminated) return { code: null, message: endedText(terminated) };
  if (outcome !== 'canceled') return null;
  const asked = before.find((event) => event.workflowExecutionCancelRequestedEventAttributes);
  const by = asked?.workflowExecutionCancelRequestedEventAttributes ?? {};
  return { code: null, message: endedText({ identity: by.identity, reason: by.cause }) };
}

function endedText({
  identity,
  reason,
}: {
  readonly identity?: string | null | undefined;
  readonly reason?: string | null | undefined;
}) {
  return `by ${identity || 'unknown'}${reason ? `: ${reason}` : ''}`;
}

// --- updates --------------------------------------------------------------------------------------------

/** The operations among the updates of a workflow that continues as new, from its latest runs. */
async function readUpdates(
  reader: Reader,
  workflowId: string,
  limit: number,
): Promise<{ readonly entries: readonly HistoryEntry[]; readonly skipped: boolean }> {
  const { executions, more } = await list(reader, `WorkflowId = '${workflowId}'`, mostRuns);
  const entries: HistoryEntry[] = [];
  for (const execution of executions) {
    if (entries.length >= limit) return { entries, skipped: false };
    const events = await readEvents(reader, execution, { most: mostEvents });
    reader.count.workflows += 1;
    for (const update of await updatesIn(reader, placeOf(execution), events)) {
      const entry = entryOfUpdate(update);
      if (entry) entries.push(entry);
    }
  }
  return { entries, skipped: more };
}

/** The updates of a run that are operations, decoded. @param events the earliest first */
export async function updatesIn(
  reader: Decoding,
  place: { readonly workflowId: string; readonly runId: string },
  events: readonly Event[],
): Promise<UpdateRecord[]> {
  const ends = new Map(
    events.flatMap((event) => {
      const { meta, outcome } = event.workflowExecutionUpdateCompletedEventAttributes ?? {};
      return meta ? [[meta.updateId, { at: timeOf(event.eventTime), outcome }] as const] : [];
    }),
  );
  const updates = events.flatMap((event) => {
    const { input, meta } = event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest ?? {};
    return input && isOperation(input.name ?? '') ? [{ at: event.eventTime, input, meta }] : [];
  });
  return Promise.all(
    updates.map(async ({ at, input, meta }) => {
      const end = ends.get(meta?.updateId);
      const failure = end?.outcome?.failure;
      const payloads = input.args?.payloads ?? [];
      return {
        ...place,
        startedAt: timeOf(at) ?? '',
        endedAt: end?.at ?? null,
        who: meta?.identity || null,
        name: input.name ?? '',
        updateId: meta?.updateId ?? '',
        outcome: end === undefined ? 'running' : failure ? 'failed' : 'done',
        failure: failure ? await failureOf(reader, failure) : null,
        args: await Promise.all(payloads.map((payload) => decoded(reader, payload))),
        result: await decoded(reader, end?.outcome?.success?.payloads?.[0]),
      };
    }),
  );
}

// --- events ---------------------------------------------------------------------------------------------

/** At most `most` events of a run: the first ones, or in reverse the last ones. */
async function readEvents(
  reader: Reader,
  { execution }: Pick<Execution, 'execution'>,
  { most, reverse = false }: { readonly most: number; readonly reverse?: boolean },
): Promise<Event[]> {
  const { workflowService, options } = reader.client;
  const events: Event[] = [];
  let nextPageToken: Uint8Array | undefined;
  do {
    const request = {
      ...{
        namespace: options.namespace,
        execution: execution ?? null,
        maximumPageSize: Math.min(most, pageEvents),
      },
      ...(nextPageToken && { nextPageToken }),
    };
    const page = await ask(reader, execution?.workflowId ?? '', () =>
      reverse
        ? workflowService.getWorkflowExecutionHistoryReverse(request)
        : workflowService.getWorkflowExecutionHistory(request),
    );
    events.push(...(page.history?.events ?? []));
    nextPageToken = page.nextPageToken.length > 0 ? page.nextPageToken : undefined;
  } while (nextPageToken && events.length < most);
  const read = events.slice(0, most);
  reader.count.events += read.length;
  return read;
}

/** Undefined if there is none, or this machine lacks its key. */
async function decoded(
  { converter, count }: Decoding,
  payload: Payload | null | undefined,
): Promise<unknown> {
  if (!payload) return undefined;
  try {
    return await decodePayload<unknown>(converter, payload);
  } catch {
    count.unreadable += 1;
    return undefined;
  }
}

async function failureOf(
  { converter, count }: Decoding,
  failure: temporal.api.failure.v1.IFailure,
): Promise<Failure> {
  try {
    const { code, message } = reportOf(await decodeFailure(converter, failure));
    return { code, message };
  } catch {
    count.unreadable += 1;
    const { applicationFailureInfo: info, message } = failure;
    return { code: info?.type || 'INTERNAL', message: message ?? '' };
  }
}

function timeOf(time: Timestamp): string | null {
  if (!time) return null;
  return new Date(Number(time.seconds ?? 0) * 1_000 + (time.nanos ?? 0) / 1e6).toISOString();
}
