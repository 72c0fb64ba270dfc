/** Everything that can fail, as a person and a program read it: one shape, rendered in one place. */
import { ApplicationFailure, CancelledFailure, TemporalFailure, TimeoutFailure } from '@temporalio/common';
import type { Colors } from 'picocolors/types.js';
import { errorCodes, type ErrorCode } from '../errors/codes.js';
import { exitCodes, messageOf, PerijoveError, type ErrorPlace } from '../errors/error.js';
import { localFileError } from '../errors/local-file.js';
import { SpecError, type SpecProblem } from '../cluster/problem.js';
import type { Problem } from '../hosts/problem.js';
import type { FailureDetails, FailureProblem } from '../temporal/failure.js';
import type { CommandContext } from './command.js';
import { printNotice, textColumns } from './io.js';
import { typeable } from './program.js';
import { hanging, wrapped } from './table.js';

export interface Report {
  readonly code: string;
  readonly message: string;
  readonly place: ErrorPlace;
  readonly remedy: string;
  /** For several problems: those of a spec, each with its line, or those that block a deployment. */
  readonly problems?: readonly (SpecProblem | FailureProblem)[];
  readonly exitCode: number;
  /** Of an error that is a bug: all that was thrown, for its report. */
  readonly detail?: string;
  /** For `--debug`. */
  readonly stack?: string;
}

/** The exit code for an error code; 1 for an unknown one. */
export function exitCodeOf(code: string): number {
  return exitCodes[code in errorCodes ? errorCodes[code as ErrorCode].exit : 'failed'];
}

/** The report of anything that was thrown, here or in a workflow. */
export function reportOf(given: unknown): Report {
  const thrown = localFileError(given) ?? given;
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
        ...(type === 'INTERNAL'
          ? { message: internalMessage(error), detail: error.message }
          : { message: error.message }),
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
  return { ...plain('INTERNAL', internalMessage(thrown)), detail: messageOf(thrown), ...withStack };
}

/** A sentence of it: what a schema or a library prints is for the report. */
function internalMessage(thrown: unknown): string {
  const failure = innermost(thrown);
  const type = failure instanceof ApplicationFailure ? failure.type : undefined;
  const [line = ''] = messageOf(failure).split('\n');
  const isSchema = type === 'ZodError' || (failure instanceof Error && failure.name === 'ZodError');
  if (isSchema || /^\s*[[{]/.test(line) || line.trim() === '')
    return 'unexpected error: Perijove got data that it cannot read';
  return `unexpected error: ${line.trim()}`;
}

/** A failure of an activity or of a child workflow says nothing but that it failed. */
function innermost(thrown: unknown): unknown {
  let error = thrown;
  while (error instanceof TemporalFailure && !(error instanceof ApplicationFailure) && error.cause) {
    error = error.cause;
  }
  return error;
}

function plain(code: ErrorCode, message: string): Report {
  return { code, message, place: {}, remedy: errorCodes[code].remedy, exitCode: exitCodeOf(code) };
}

function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own;
}

/** The value of `error` in `--json` output. */
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

/** Maximum number of problems shown for a file: later ones are often consequences. */
const mostProblems = 20;
/** Maximum length of a message line; it may quote a file. */
const longestLine = 500;

/** Prints the human-readable error as a notice. */
export function printReport(context: CommandContext, report: Report): void {
  const { colors, debug, program } = context;
  printNotice(context, reportText(report, colors, { debug, columns: textColumns(context), program }));
}

/** A human-readable error: what failed, where, what to do, the code. */
export function reportText(report: Report, colors: Colors, { debug, columns, program }: TextOptions): string {
  const { code, remedy, place, stack } = report;
  const problems = report.problems?.map((problem) => withCommands(problem, program));
  const message = report.message.split('\n').map(shortened).join('\n');
  const mark = `${colors.red(colors.bold('error:'))} `;
  const lines: string[] = [];
  if (problems) {
    const ofSpec = problems.filter((problem) => 'file' in problem);
    const others = grouped(problems.filter((problem) => !('file' in problem)));
    const title = ofSpec.length > 0 ? message : blockText(others.length);
    lines.push(...hanging(mark, title, columns));
    for (const problem of ofSpec.slice(0, mostProblems))
      lines.push('', ...specLines(problem, colors, columns));
    for (const problem of others) lines.push('', ...problemLines(problem, colors, columns));
    const left = ofSpec.length - mostProblems;
    if (left > 0) lines.push('', `and ${left} more`);
    lines.push('', colors.dim(`code ${code}`));
  } else {
    lines.push(
      ...message.split('\n').flatMap((line, index) => hanging(index === 0 ? mark : '', line, columns)),
    );
    const where = placeText(place);
    if (where !== '' && !message.includes(where)) lines.push(...hanging('  where  ', where, columns));
    lines.push(...hanging('  do     ', typeable(remedy, program), columns), `  code   ${colors.dim(code)}`);
  }
  if (debug && stack !== undefined) lines.push('', colors.dim(stack));
  return `${lines.join('\n')}\n`;
}

interface TextOptions {
  readonly debug: boolean;
  readonly columns: number;
  /** Prefix of commands in it. */
  readonly program: string;
}

/** A problem whose remedy has commands as the user can type them. */
export function withCommands<P extends { readonly remedy: string }>(problem: P, program: string): P {
  return { ...problem, remedy: typeable(problem.remedy, program) };
}

/** Heading or closing line of the problems that block a deployment. */
export function blockText(problems: number): string {
  return problems === 1 ? '1 problem blocks this deployment' : `${problems} problems block this deployment`;
}

function shortened(text: string): string {
  return text.length > longestLine ? `${text.slice(0, longestLine)}…` : text;
}

function specLines(
  { file, line, column, code, message, remedy }: SpecProblem,
  colors: Colors,
  columns: number,
): string[] {
  const place = `${file}:${line}:${column}`;
  return [
    `${colors.bold(place)}  ${colors.dim(code)}`,
    ...hanging('  ', shortened(message), columns),
    ...remedyLines(remedy, colors, columns),
  ];
}

/** A problem, its code, and its remedy. */
export function problemLines(
  { message, code, remedy }: Pick<Problem, 'message' | 'code' | 'remedy'>,
  colors: Colors,
  columns: number,
): string[] {
  return [
    ...wrapped(`${colors.bold(shortened(message))}  ${colors.dim(code)}`, columns),
    ...remedyLines(remedy, colors, columns),
  ];
}

function remedyLines(remedy: string, colors: Colors, columns: number): string[] {
  return hanging(`  ${colors.cyan('→')} `, remedy, columns);
}

/** Merges a problem of several hosts, such as a key missing on this machine, into one with their names. */
export function grouped(problems: readonly Problem[]): Problem[] {
  const groups = new Map<string, Problem[]>();
  for (const problem of problems) {
    const key = JSON.stringify([problem.code, withoutHost(problem), problem.remedy]);
    groups.set(key, [...(groups.get(key) ?? []), problem]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined || group.length === 1) return group;
    const hosts = [...new Set(group.map(({ host }) => host))].filter((host) => host !== undefined);
    const prefix = hosts.length === 0 ? '' : `${hosts.join(', ')}: `;
    return [{ ...first, message: `${prefix}${withoutHost(first)}` }];
  });
}

function withoutHost({ host, message }: Problem): string {
  return host !== undefined && message.startsWith(`${host}: `) ? message.slice(host.length + 2) : message;
}

function placeText({ file, line, column, host, subject }: ErrorPlace): string {
  const position = [file, line, column].filter((part) => part !== undefined).join(':');
  return [host, subject, position].filter((part) => part !== undefined && part !== '').join(', ');
}
