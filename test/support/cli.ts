import { setMaxListeners } from 'node:events';
import { Readable } from 'node:stream';
import { main } from '../../src/cli/main.js';
import type { Io } from '../../src/cli/io.js';

export interface CliRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line in this process, without a terminal, and collects its output. */
export async function cli(argv: readonly string[], io: Partial<Io> = {}): Promise<CliRun> {
  let stdout = '';
  let stderr = '';
  const { signal } = new AbortController();
  setMaxListeners(0, signal);
  const code = await main(argv, {
    stdin: Readable.from([]),
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    program: 'perijove',
    isTTY: false,
    columns: 100,
    signal,
    ...io,
  });
  return { code, stdout, stderr };
}
