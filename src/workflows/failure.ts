import {
  ApplicationFailure,
  CancelledFailure,
  TimeoutFailure,
  isCancellation,
  log,
} from '@temporalio/workflow';
import { errorCodes, type ErrorCode } from '../errors/codes.js';
import { messageOf } from '../errors/error.js';
import type { DeployProgress } from '../temporal/contract.js';
import type { FailureDetails, FailureProblem } from '../temporal/failure.js';

export type FailureFacts = NonNullable<DeployProgress['failure']>;

/** A failure of the workflow itself. Never retried. */
export function failure(
  code: ErrorCode,
  message: string,
  place: FailureDetails['place'] = {},
): ApplicationFailure {
  return failureFrom({ code, message }, { place, remedy: errorCodes[code].remedy });
}

/** One failure for all problems: it has the code, the place and the remedy of the first. */
export function failureOfProblems(first: FailureProblem, all: readonly FailureProblem[]): ApplicationFailure {
  const { code, host, message, remedy } = first;
  const place = host === undefined ? {} : { host };
  if (all.length === 1) return failureFrom({ code, message }, { place, remedy });
  return failureFrom(
    { code, message: `${all.length} problems block this deployment, the first: ${message}` },
    { place, remedy, problems: all },
  );
}

/** A failure with these facts. Never retried. */
export function failureFrom(
  { code, message }: Pick<FailureFacts, 'code' | 'message'>,
  details: FailureDetails,
  cause?: Error,
): ApplicationFailure {
  return ApplicationFailure.create({
    message,
    type: code,
    nonRetryable: true,
    details: [details],
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * The failure that a workflow ends with when `thrown` reached its top: that of the activity that failed, here
 * or in a child, with its code, place and remedy. A cancellation remains one. An error that is not a failure
 * would fail the workflow task and be retried forever, so even a bug becomes a failure.
 */
export function finalFailure(thrown: unknown): { readonly failure: Error; readonly facts: FailureFacts } {
  if (isCancellation(thrown)) {
    const { meaning, remedy } = errorCodes.CANCELLED;
    return {
      failure: thrown instanceof Error ? thrown : new CancelledFailure('cancelled'),
      facts: { code: 'CANCELLED', message: meaning, remedy },
    };
  }
  const cause = thrown instanceof Error ? thrown : undefined;
  const chain = causesOf(thrown);
  const first = chain.find((error) => error instanceof ApplicationFailure);
  if (first !== undefined) {
    const details = first.details?.[0] as FailureDetails | undefined;
    const code = first.type ?? 'INTERNAL';
    const facts = {
      code,
      message: first.message,
      remedy: details?.remedy ?? (code in errorCodes ? errorCodes[code as ErrorCode].remedy : ''),
      ...(details?.place.host === undefined ? {} : { host: details.place.host }),
    };
    return { failure: failureFrom(facts, { place: {}, ...details, remedy: facts.remedy }, cause), facts };
  }
  const timeout = chain.find((error) => error instanceof TimeoutFailure);
  const code: ErrorCode = timeout === undefined ? 'INTERNAL' : 'STEP_TIMED_OUT';
  if (timeout === undefined) log.error('unexpected error in a workflow', { error: thrown });
  const facts = { code, message: messageOf(timeout ?? thrown), remedy: errorCodes[code].remedy };
  return { failure: failureFrom(facts, { place: {}, remedy: facts.remedy }, cause), facts };
}

function causesOf(thrown: unknown): Error[] {
  const chain: Error[] = [];
  for (let error = thrown; error instanceof Error; error = error.cause) chain.push(error);
  return chain;
}
