import { errorCodes, type ErrorCode } from './codes.js';

/** Exit codes of the command line, as `docs/reference/errors.md` lists them. */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  refused: 4,
  /** EX_TEMPFAIL of sysexits.h */
  startAgain: 75,
  /** 128 + the number of SIGINT, as shells have it. */
  interrupted: 130,
} as const;

/** For the docs and the manual page. */
export const exitMeanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  done: 'done',
  failed: 'failed',
  usage: 'the command line or the spec is invalid, or refers to something that does not exist',
  unreachable: 'a host, the Temporal server or a service of the cluster is unreachable',
  refused: 'refused because it would be unsafe',
  startAgain: 'a worker met an unexpected exception and handed its work over; it is to be started again',
  interrupted: 'interrupted by Ctrl-C or SIGTERM',
};

export interface ErrorPlace {
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly host?: string;
  /** What the error concerns if it is neither a file nor a host: a path, a task, an address. */
  readonly subject?: string;
}

export interface PerijoveErrorOptions extends ErrorPlace {
  /** Replaces the default remedy of the code. */
  readonly remedy?: string;
  readonly cause?: unknown;
}

/**
 * An error that a user can act on: what failed (`message`), where (`place`), what to do (`remedy`) and a
 * stable `code`. Any other thrown error is a bug.
 */
export class PerijoveError extends Error {
  override readonly name = 'PerijoveError';
  readonly place: ErrorPlace;
  readonly remedy: string;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: PerijoveErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const { remedy = errorCodes[code].remedy, ...place } = options;
    delete place.cause;
    this.place = place;
    this.remedy = remedy;
  }

  /** Whether a retry may succeed without anyone changing anything. */
  get retryable(): boolean {
    return errorCodes[this.code].retryable;
  }

  get exitCode(): number {
    return exitCodes[errorCodes[this.code].exit];
  }
}

/** The message of any thrown value. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
