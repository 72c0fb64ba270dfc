import type { Readable } from 'node:stream';
import picocolors from 'picocolors';
import { programName, typeable } from './program.js';
import { fold } from './table.js';

export interface Output {
  write(text: string): unknown;
}

/** What a command may use of its process; tests replace it. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** How the user runs this program: `perijove`, `npx perijove`. */
  readonly program: string;
  /** Whether stdout is a terminal: allows redrawing lines and asking questions. */
  readonly isTTY: boolean;
  /** Columns of that terminal. */
  readonly columns: number;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
}

const defaultColumns = 100;

/** The streams and environment of this process. */
export function processIo(signal: AbortSignal): Io {
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    program: programName(process.argv[1] ?? '', { env: process.env, cwd: process.cwd() }),
    isTTY: process.stdout.isTTY,
    columns: process.stdout.columns ?? defaultColumns,
    signal,
  };
}

/** Colours on a terminal, unless NO_COLOR (no-color.org) is set or the terminal is dumb. */
export function colorsOf({ isTTY, env }: Pick<Io, 'isTTY' | 'env'>) {
  const refused = (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return picocolors.createColors(isTTY && !refused);
}

/** Width limit of texts: the terminal's; unlimited without one. */
export function textColumns({ isTTY, columns }: Pick<Io, 'isTTY' | 'columns'>): number {
  return isTTY ? columns : Infinity;
}

type TextIo = Pick<Io, 'isTTY' | 'columns' | 'program'>;

/** A human-readable text: wrapped to the terminal, with commands as the user can type them. */
export function textFor(io: TextIo, text: string): string {
  return fold(typeable(text, io.program), textColumns(io));
}

/** Writes a human-readable text to stdout. */
export function printText(context: TextIo & Pick<Io, 'stdout'>, text: string): void {
  context.stdout.write(textFor(context, text));
}

/** Writes a human-readable text to stderr. */
export function printNotice(context: TextIo & Pick<Io, 'stderr'>, text: string): void {
  context.stderr.write(textFor(context, text));
}

/** Writes one JSON document and a newline to stdout. */
export function printJson(context: Pick<Io, 'stdout'>, value: unknown): void {
  context.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
