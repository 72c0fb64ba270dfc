/**
 * Questions to Temporal and to workflows, and which of them are merely unanswered. A query or an update needs a
 * worker that replays the workflow, so on a busy machine it may be late, or its workflow task may just have failed or
 * timed out. Nothing follows from that: the question is asked again.
 */
import {
  isGrpcServiceError,
  isRetryableError,
  QueryNotRegisteredError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  type Client,
} from '@temporalio/client';
import { PerijoveError } from '../errors/error.js';
import { pauseAfter, type BackOff } from '../net/back-off.js';
import { pause } from '../net/pause.js';

// grpc.github.io/grpc/core/md_doc_statuscodes.html
const grpc = {
  cancelled: 1,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unavailable: 14,
} as const;

/**
 * Why there is no answer yet, for people; undefined when what was thrown is an answer, such as a refusal, or is not
 * about a call to Temporal.
 */
export function whyUnanswered(thrown: unknown): string | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (error instanceof WorkflowUpdateFailedError || error instanceof WorkflowNotFoundError)
      return undefined;
    if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) return 'no answer in time';
    // No query of ours refuses: its workflow is starting, or could not be replayed.
    if (error instanceof QueryNotRegisteredError) return `the query failed (${error.message})`;
    if (isGrpcServiceError(error)) return whyOf(error);
  }
  return undefined;
}

function whyOf(error: Parameters<typeof isRetryableError>[0] & Error): string | undefined {
  // Of an update with start, only the message tells what failed.
  const text = `${error.details} ${error.message}`;
  switch (Number(error.code)) {
    // The connection of a worker reports a deadline as a cancellation.
    case grpc.cancelled:
    case grpc.deadlineExceeded:
      return 'no answer in time';
    case grpc.unavailable:
      return 'the Temporal server cannot be reached';
    case grpc.resourceExhausted:
      return `too busy (${error.details})`;
    case grpc.failedPrecondition:
      return isOfWorkflowTask(text) ? 'its last step failed or timed out, and is being retried' : undefined;
    default:
      return isRetryableError(error) ? error.details : undefined;
  }
}

/** "Workflow Task in failed state", "unexpected workflow task failure", "at least one workflow task before". */
function isOfWorkflowTask(details: string): boolean {
  return /workflow task/i.test(details);
}

export interface Asking {
  /** Whom, for people and as the subject of the error: a workflow ID. */
  readonly receiver: string;
  /** Waiting ends when it aborts. */
  readonly signal: AbortSignal;
  /** How long the first attempt may take, 2 000 by default; each later one twice as long, up to 20 000. */
  readonly firstMs?: number;
  /** How long to ask in all; for as long as it takes by default. */
  readonly patienceMs?: number;
  /** Receives why there is no answer yet, and undefined when the answer is there after all. */
  readonly onWait?: (why: string | undefined) => void;
}

/** A long poll of the server lasts as long. */
const longestMs = 20_000;
const pauses: BackOff = { firstMs: 100, longestMs: 2_000 };

/**
 * The answer to a question, which is asked again, with more time, while it is unanswered. The question must bear
 * being asked twice: an update has the same ID each time.
 *
 * @throws the signal's reason; what the question throws as its answer; PerijoveError WORKFLOW_NOT_ANSWERING when
 *   the patience is over
 */
export async function untilAnswered<T>(
  client: Client,
  question: () => Promise<T>,
  { receiver, signal, firstMs = 2_000, patienceMs = Infinity, onWait }: Asking,
): Promise<T> {
  const startedAt = Date.now();
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      const limitMs = pauseAfter(attempt, { firstMs, longestMs: Math.max(firstMs, longestMs) });
      const answer = await limited(client, limitMs, signal, question);
      if (attempt > 1) onWait?.(undefined);
      return answer;
    } catch (error) {
      signal.throwIfAborted();
      const why = whyUnanswered(error);
      if (why === undefined) throw error;
      if (Date.now() - startedAt >= patienceMs) throw notAnswering(receiver, why, error);
      onWait?.(notAnsweringText(receiver, why));
    }
    await pause(pauseAfter(attempt, pauses), signal);
  }
}

function notAnsweringText(receiver: string, why: string): string {
  return `${receiver} is not answering yet: ${why}`;
}

export function notAnswering(receiver: string, why: string, cause: unknown): PerijoveError {
  return new PerijoveError('WORKFLOW_NOT_ANSWERING', notAnsweringText(receiver, why), {
    subject: receiver,
    cause,
  });
}

/**
 * One attempt. A client never takes its listeners off a signal, and this one may live as long as its cluster; the
 * connection of a worker does not heed it at all.
 */
async function limited<T>(
  client: Client,
  limitMs: number,
  signal: AbortSignal,
  question: () => Promise<T>,
): Promise<T> {
  const call = new AbortController();
  const asked = client.withAbortSignal(call.signal, () =>
    client.withDeadline(Date.now() + limitMs, question),
  );
  return await new Promise<T>((resolve, reject) => {
    const abort = () => {
      call.abort(signal.reason);
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', abort, { once: true });
    asked.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
