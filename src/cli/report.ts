/** Everything that can go wrong, as a person and a program read it: one shape, rendered in one place. */
import { ApplicationFailure, CancelledFailure, TimeoutFailure } from '@temporalio/common';
import type { Colors } from 'picocolors/types.js';
import { errorCodes, type ErrorCode } from '../errors/codes.js';
import { exitCodes, messageOf, PerijoveError, type ErrorPlace } from '../errors/error.js';
import { SpecError, type SpecProblem } from '../cluster/problem.js';
import type { FailureDetails, FailureProblem } from '../temporal/failure.js';

export interface Report {
  readonly code: string;
  readonly message: string;
  readonly place: ErrorPlace;
  readonly remedy: string;
  /** Where there are several: those of a spec, each with its line, or those in the way of a deployment. */
  readonly problems?: readonly (SpecProblem | FailureProblem)[];
  readonly exitCode: number;
  /** For `--debug`. */
  readonly stack?: string;
}

/** The exit code that an error code stands for; 1 for one that this release does not know. */
export function exitCodeOf(code: string): number {
  return exitCodes[code in errorCodes ? errorCodes[code as ErrorCode].exit : 'failed'];
}

/** The report of anything that was thrown, here or in a workflow. */
export function reportOf(thrown: unknown): Report {
  const stack = thrown instanceof Error ? stackOf(thrown) : undefined;
  const withStack = stack === undefined ? {} : { stack };
  if (thrown instanceof PerijoveError) {
    return {
      code: thrown.code,
      message: thrown.message,
      place: thrown.place,
      remedy: thrown.remedy,
      exitCode: thrown.exitCode,
      ...(thrown instanceof SpecError && { problems: thrown.problems }),
      ...withStack,
    };
  }
  for (let error: unknown = thrown; error instanceof Error; error = error.cause) {
    const type = error instanceof ApplicationFailure ? error.type : undefined;
    if (error instanceof ApplicationFailure && typeof type === 'string' && type in errorCodes) {
      const details = error.details?.[0] as FailureDetails | undefined;
      return {
        code: type,
        message: error.message,
        place: details?.place ?? {},
        remedy: details?.remedy ?? errorCodes[type as ErrorCode].remedy,
        exitCode: exitCodeOf(type),
        ...(details?.problems && { problems: details.problems }),
        ...withStack,
      };
    }
    if (error instanceof CancelledFailure)
      return { ...plain('CANCELLED', errorCodes.CANCELLED.meaning), ...withStack };
    if (error instanceof TimeoutFailure) return { ...plain('STEP_TIMED_OUT', error.message), ...withStack };
  }
  return { ...plain('INTERNAL', messageOf(thrown)), ...withStack };
}

function plain(code: ErrorCode, message: string): Report {
  return { code, message, place: {}, remedy: errorCodes[code].remedy, exitCode: exitCodeOf(code) };
}

function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own;
}

/** What `--json` prints for an error, as the value of `error`. */
export function reportJson(report: Report, debug: boolean) {
  const { code, message, place, remedy, problems, stack } = report;
  return {
    code,
    message,
    ...(Object.keys(place).length > 0 && { place }),
    remedy,
    ...(problems && { problems }),
    ...(debug && stack !== undefined && { stack }),
  };
}

/** What a person reads: what failed, where, what to do, the code. */
export function reportText(report: Report, colors: Colors, debug: boolean): string {
  const { code, message, remedy, place, problems, stack } = report;
  const title = problems && !problems.some(isOfSpec) ? `${problems.length} problems are in the way` : message;
  const lines = [`${colors.red(colors.bold('error:'))} ${title}`];
  if (problems) {
    for (const problem of problems) {
      lines.push(
        '',
        ...(isOfSpec(problem)
          ? problemLines(problem, colors)
          : problemText({ ...problem, title: problem.message }, colors)),
      );
    }
    lines.push('', `${colors.dim(`code ${code}`)}`);
  } else {
    const where = placeText(place);
    if (where !== '' && !message.includes(where)) lines.push(`  where  ${where}`);
    lines.push(`  do     ${remedy}`, `  code   ${colors.dim(code)}`);
  }
  if (debug && stack !== undefined) lines.push('', colors.dim(stack));
  return `${lines.join('\n')}\n`;
}

function isOfSpec(problem: SpecProblem | FailureProblem): problem is SpecProblem {
  return 'file' in problem;
}

function problemLines({ file, line, column, code, message, remedy }: SpecProblem, colors: Colors): string[] {
  const [title = '', ...rest] = problemText({ title: `${file}:${line}:${column}`, code, remedy }, colors);
  return [title, `  ${message}`, ...rest];
}

/** One of several problems: what it is about, its code, and what to do. */
export function problemText(
  { title, code, remedy }: { readonly title: string; readonly code: string; readonly remedy: string },
  colors: Colors,
): string[] {
  return [`${colors.bold(title)}  ${colors.dim(code)}`, `  ${colors.cyan('→')} ${remedy}`];
}

function placeText({ file, line, column, host, subject }: ErrorPlace): string {
  const position = [file, line, column].filter((part) => part !== undefined).join(':');
  return [host, subject, position].filter((part) => part !== undefined && part !== '').join(', ');
}
