/** Errors as they cross from activities into workflows. */
import { ApplicationFailure, TemporalFailure } from '@temporalio/common';
import { errorCodes, type ErrorCode } from '../errors/codes.js';
import { PerijoveError, messageOf, type ErrorPlace } from '../errors/error.js';
import { localFileError } from '../errors/local-file.js';

/** The one element of an ApplicationFailure's `details`. */
export interface FailureDetails {
  readonly place: ErrorPlace;
  readonly remedy: string;
  /** All problems, if there are several; the failure's own code, place and remedy are those of the first. */
  readonly problems?: readonly FailureProblem[];
}

export interface FailureProblem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: string;
  readonly host?: string;
}

export interface Attempt {
  /** 1 for the first. */
  readonly number: number;
  /** Since the activity was first scheduled. */
  readonly elapsedMs: number;
  /** Whether the activity is of the endless tier. */
  readonly endless: boolean;
}

/** A rebooting host is back within this time; and for most of it perhaps no worker ran. */
const unreachable = { ms: 5 * 60_000, attempts: 30 };
const failed = { attempts: 5 };

/**
 * The failure of an activity that threw: an ApplicationFailure whose type is the error's code. It is retried
 * when that may help, unless the code excludes it: an unreachable host for at least five minutes and thirty
 * attempts, any other error five times. Endless activities never give up on what may heal.
 */
export function failureOf(thrown: unknown, attempt: Attempt): TemporalFailure {
  if (thrown instanceof TemporalFailure) return thrown;
  const error =
    thrown instanceof PerijoveError
      ? thrown
      : (localFileError(thrown) ??
        new PerijoveError('INTERNAL', messageOf(thrown), thrown === undefined ? {} : { cause: thrown }));
  const details: FailureDetails = { place: error.place, remedy: error.remedy };
  return ApplicationFailure.create({
    message: error.message,
    type: error.code,
    nonRetryable: !error.retryable || isOver(error.code, attempt),
    details: [details],
    ...(thrown instanceof Error ? { cause: thrown } : {}),
  });
}

function isOver(code: ErrorCode, { number, elapsedMs, endless }: Attempt): boolean {
  if (endless) return false;
  return errorCodes[code].exit === 'unreachable'
    ? number >= unreachable.attempts && elapsedMs >= unreachable.ms
    : number >= failed.attempts;
}
