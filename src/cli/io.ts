import type { Readable } from 'node:stream';
import picocolors from 'picocolors';
import { programName, typeable } from './program.js';
import { fold } from './table.js';

export interface Output {
  write(text: string): unknown;
}

/** What a command may use of its process; everything can be replaced, as tests do. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** How this program is called: `perijove`, `npx perijove`. */
  readonly program: string;
  /** Whether stdout is a terminal: lines may be redrawn, questions may be asked. */
  readonly isTTY: boolean;
  /** Columns of that terminal. */
  readonly columns: number;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
}

const defaultColumns = 100;

/** Those of this process. */
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

/** Colours on a terminal, unless NO_COLOR (no-color.org) or a dumb terminal says otherwise. */
export function colorsOf({ isTTY, env }: Pick<Io, 'isTTY' | 'env'>) {
  const refused = (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return picocolors.createColors(isTTY && !refused);
}

/** How wide a text may be: as wide as the terminal; without one, as it comes. */
export function textColumns({ isTTY, columns }: Pick<Io, 'isTTY' | 'columns'>): number {
  return isTTY ? columns : Infinity;
}

type TextIo = Pick<Io, 'isTTY' | 'columns' | 'program'>;

/** A text for people: no wider than the terminal, its commands as they can be typed. */
export function textFor(io: TextIo, text: string): string {
  return fold(typeable(text, io.program), textColumns(io));
}

/** Writes a text for people to stdout. */
export function printText(context: TextIo & Pick<Io, 'stdout'>, text: string): void {
  context.stdout.write(textFor(context, text));
}

/** Writes a text for people to stderr. */
export function printNotice(context: TextIo & Pick<Io, 'stderr'>, text: string): void {
  context.stderr.write(textFor(context, text));
}

/** Writes one JSON document and a line feed to stdout. */
export function printJson(context: Pick<Io, 'stdout'>, value: unknown): void {
  context.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
