import type { Readable } from 'node:stream';
import picocolors from 'picocolors';

export interface Output {
  write(text: string): unknown;
}

/** What of the process a command may touch; everything can be replaced, as tests do. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Whether stdout is a terminal: lines may be redrawn, questions may be asked. */
  readonly isTTY: boolean;
  /** Columns of that terminal. */
  readonly columns: number;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
}

const defaultColumns = 100;

/** This process's own; `stop` aborts the signal. */
export function processIo(signal: AbortSignal): Io {
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
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

/** Writes one JSON document and a line feed to stdout. */
export function printJson(context: Pick<Io, 'stdout'>, value: unknown): void {
  context.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
