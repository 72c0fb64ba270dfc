import type { Readable, Writable } from 'node:stream';
import type { ClientChannel } from 'ssh2';
import { PerijoveError } from '../errors/error.js';
import { reasonOf } from '../net/abortable.js';
import type { ExecResult } from './connection.js';
import { unstartedShell } from './login-shell.js';
import type { Session } from './transport.js';
import { afterBeginning, beginning, frame, hasStarted } from './shell.js';

const outputLimitBytes = 8 * 1024 * 1024;
const beginningBytes = Buffer.from(beginning);

export interface ScriptRun {
  readonly host: string;
  /** The SSH user, for messages. */
  readonly user: string;
  readonly script: string;
  readonly become: boolean;
  /** With `input` or `sink`, the time without progress. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly input?: ScriptInput;
  /** Receives the script's stdout, which is then empty in the result. Left open. */
  readonly sink?: Writable;
}

/** Data for a script. */
export interface ScriptInput {
  /** Shell code that reads it from descriptor 3, before the script starts. */
  readonly receive: string;
  /** Opens it, as soon as the host is ready. */
  readonly open: () => Readable;
}

/** The command that reads the script from stdin. */
export function shellCommand(become: boolean): string {
  return become ? 'exec sudo -n -- sh -s' : 'exec sh -s';
}

/** Runs a script in a session opened with `shellCommand`, as `HostConnection.exec` documents. */
export function runScript({ channel, isLost }: Session, run: ScriptRun): Promise<ExecResult> {
  const { script, signal, input } = run;
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    let exit: Exit | undefined;
    const release = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      streams.end();
    };
    const settle = (error: Error) => {
      release();
      // The watcher in the frame kills the script when its stdin closes.
      channel.close();
      reject(error);
    };
    const abort = () => settle(signal === undefined ? new Error('aborted') : reasonOf(signal));
    const streams = new ScriptStreams(channel, run, { fail: settle, progress: () => timer.refresh() });
    const timer = setTimeout(() => settle(tooLong(run, streams)), run.timeoutMs);

    channel.on('error', () => channel.close());
    channel.on('exit', (code: number | null, name?: string) => {
      exit = { code, signal: code === null ? (name ?? 'unknown').replace(/^SIG/, '') : null };
    });
    channel.on('close', () => {
      release();
      // A login that ends at once cannot be written to, and OpenSSH then closes the channel before it knows the code.
      if (!isLost()) exit ??= { code: null, signal: null };
      Promise.resolve()
        .then(() => resultOf(run, exit, streams, startedAt))
        .then(resolve, reject);
    });
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted === true) abort();
    else channel.write(frame(script, input?.receive));
  });
}

interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** What a script prints, and the data that it gets. */
class ScriptStreams {
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  #bytes = 0;
  #begun = false;
  #source: Readable | undefined;

  constructor(
    private readonly channel: ClientChannel,
    private readonly run: Pick<ScriptRun, 'host' | 'input' | 'sink'>,
    private readonly on: { readonly fail: (error: Error) => void; readonly progress: () => void },
  ) {
    channel.on('data', (chunk: Buffer) => this.#printed(chunk));
    channel.stderr.on('data', (chunk: Buffer) => this.#collect(this.#stderr, chunk));
    run.sink?.on('error', on.fail);
  }

  get stdout(): string {
    return Buffer.concat(this.#stdout).toString('utf8');
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString('utf8');
  }

  end(): void {
    this.#source?.unpipe(this.channel);
    this.#source?.destroy();
    this.run.sink?.off('error', this.on.fail);
  }

  #printed(chunk: Buffer): void {
    const { input, sink } = this.run;
    if (this.#begun && sink !== undefined) {
      this.#deliver(sink, chunk);
      return;
    }
    this.#collect(this.#stdout, chunk);
    if (this.#begun || (input === undefined && sink === undefined)) return;
    const printed = Buffer.concat(this.#stdout);
    const at = printed.indexOf(beginningBytes);
    if (at === -1) return;
    this.#begun = true;
    if (input !== undefined) this.#send(input);
    const own = printed.subarray(at + beginningBytes.length);
    if (sink === undefined || own.length === 0) return;
    this.#stdout.splice(0, Infinity, printed.subarray(0, at + beginningBytes.length));
    this.#deliver(sink, own);
  }

  #collect(chunks: Buffer[], chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= outputLimitBytes) chunks.push(chunk);
    else {
      const { host } = this.run;
      this.on.fail(new PerijoveError('OUTPUT_TOO_LARGE', 'a command wrote more than 8 MiB', { host }));
    }
  }

  #deliver(sink: Writable, chunk: Buffer): void {
    this.on.progress();
    if (sink.write(chunk)) return;
    this.channel.pause();
    sink.once('drain', () => this.channel.resume());
  }

  #send(input: ScriptInput): void {
    this.#source = input.open();
    this.#source.on('data', this.on.progress);
    this.#source.on('error', this.on.fail);
    // Not ended: the frame watches for the end of the session.
    this.#source.pipe(this.channel, { end: false });
  }
}

function tooLong({ host, user, timeoutMs }: ScriptRun, { stdout, stderr }: ScriptStreams): PerijoveError {
  if (hasStarted(stdout)) {
    return new PerijoveError('COMMAND_TIMEOUT', `a command timed out after ${timeoutMs} ms`, { host });
  }
  const printed = (stderr.trim() || stdout.trim()).split('\n').slice(-5).join('\n');
  return new PerijoveError(
    'COMMAND_TIMEOUT',
    `the login of ${user} started no shell within ${timeoutMs} ms; it printed: ${printed || 'nothing'}`,
    { host },
  );
}

/** @throws PerijoveError if the script did not run, or its end is unknown */
function resultOf(
  { host, user, become }: ScriptRun,
  exit: Exit | undefined,
  { stdout, stderr }: ScriptStreams,
  startedAt: number,
): ExecResult {
  if (exit === undefined || (exit.code === null && exit.signal === null && hasStarted(stdout))) {
    throw new PerijoveError('SSH_LOST', 'the connection was lost while a command was running', { host });
  }
  const result = {
    host,
    ...exit,
    stdout: afterBeginning(stdout) ?? stdout,
    stderr: afterBeginning(stderr) ?? stderr,
    durationMs: Math.round(performance.now() - startedAt),
  };
  if (afterBeginning(stdout) !== undefined) return result;
  if (!hasStarted(stdout) && exit.signal === null) {
    throw unstartedShell({ host, user, become, code: exit.code, stdout, stderr });
  }
  successOf(result);
  throw new PerijoveError('COMMAND_FAILED', 'a command did not start', { host });
}

/** Whether a command failed because of a full disk or quota. */
export function isNoSpace(stderr: string): boolean {
  return /no space left on device|disk quota exceeded/i.test(stderr);
}

/** The stdout of a successful result; otherwise throws DISK_FULL or COMMAND_FAILED with the end of stderr. */
export function successOf(result: ExecResult): string {
  if (result.code === 0) return result.stdout;
  const { host, code, signal, stdout, stderr } = result;
  const tail = (stderr.trim() || stdout.trim()).split('\n').slice(-5).join('\n');
  throw new PerijoveError(
    isNoSpace(stderr) ? 'DISK_FULL' : 'COMMAND_FAILED',
    tail || (signal === null ? `a command exited with code ${code}` : `a command was killed by SIG${signal}`),
    { host },
  );
}
