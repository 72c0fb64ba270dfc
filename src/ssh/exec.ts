import type { ClientChannel } from 'ssh2';
import { PerijoveError } from '../errors/error.js';
import { reasonOf } from '../net/abortable.js';
import type { ExecResult } from './connection.js';
import { afterBeginning, frame } from './shell.js';

const outputLimitBytes = 8 * 1024 * 1024;

export interface ScriptRun {
  readonly host: string;
  readonly script: string;
  readonly become: boolean;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** The command that reads the script from stdin. */
export function shellCommand(become: boolean): string {
  return become ? 'exec sudo -n -- sh -s' : 'exec sh -s';
}

/** Runs a script in a channel opened with `shellCommand`, as `HostConnection.exec` documents. */
export function runScript(channel: ClientChannel, run: ScriptRun): Promise<ExecResult> {
  const { host, script, become, timeoutMs, signal } = run;
  const startedAt = performance.now();
  const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  let bytes = 0;
  let exit: { code: number | null; signal: string | null } | undefined;

  return new Promise((resolve, reject) => {
    const settle = (error: Error) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      // The watcher in the frame kills the script when its stdin closes.
      channel.close();
      reject(error);
    };
    const abort = () => settle(signal === undefined ? new Error('aborted') : reasonOf(signal));
    const timer = setTimeout(() => {
      settle(new PerijoveError('COMMAND_TIMEOUT', `a command timed out after ${timeoutMs} ms`, { host }));
    }, timeoutMs);
    const collect = (chunks: Buffer[]) => (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= outputLimitBytes) chunks.push(chunk);
      else settle(new PerijoveError('OUTPUT_TOO_LARGE', 'a command wrote more than 8 MiB', { host }));
    };

    channel.on('data', collect(output.stdout));
    channel.stderr.on('data', collect(output.stderr));
    channel.on('error', () => channel.close());
    channel.on('exit', (code: number | null, name?: string) => {
      exit = { code, signal: code === null ? (name ?? 'unknown').replace(/^SIG/, '') : null };
    });
    channel.on('close', () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      if (exit === undefined) {
        reject(
          new PerijoveError('SSH_LOST', 'the connection was lost while a command was running', { host }),
        );
        return;
      }
      const stdout = Buffer.concat(output.stdout).toString('utf8');
      const stderr = Buffer.concat(output.stderr).toString('utf8');
      const begun = afterBeginning(stdout);
      if (begun === undefined && become && exit.code !== 0) {
        reject(
          new PerijoveError('SUDO_REFUSED', stderr.trim() || `sudo exited with code ${exit.code}`, { host }),
        );
        return;
      }
      if (begun === undefined && exit.code === 0) {
        const printed = (stdout.trim() || stderr.trim()).split('\n').slice(-5).join('\n');
        reject(
          new PerijoveError(
            'COMMAND_FAILED',
            `the login did not run the command: ${printed || 'no output'}`,
            {
              host,
            },
          ),
        );
        return;
      }
      resolve({
        host,
        ...exit,
        stdout: begun ?? stdout,
        stderr: afterBeginning(stderr) ?? stderr,
        durationMs: Math.round(performance.now() - startedAt),
      });
    });

    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted === true) abort();
    else channel.write(frame(script));
  });
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
