import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PerijoveError } from '../errors/error.js';
import { commandLine } from './processes.js';

const conflict = 75; // EX_TEMPFAIL of sysexits.h

export interface LockOptions {
  /** Called with the holder before waiting for it; without this, a held lock is LAB_BUSY. */
  readonly waiting?: (holder: string) => void;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
}

/**
 * Runs `work` while holding an advisory lock on `file`, which is created if missing. The kernel releases the
 * lock when this process ends for any reason: flock(1) holds it for as long as its stdin stays open.
 *
 * @throws PerijoveError LAB_BUSY; the signal's reason when it aborts before the lock is held
 */
export async function withLock<T>(file: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  mkdirSync(path.dirname(file), { recursive: true });
  let release = await acquire(file, false);
  if (!release) {
    const holder = holderOf(file);
    if (!options.waiting) {
      throw new PerijoveError('LAB_BUSY', `another command uses the lab: ${holder}`, {
        subject: path.dirname(file),
      });
    }
    options.waiting(holder);
    release = await acquire(file, true, options.signal);
  }
  if (!release) throw new Error(`flock(1) gave up waiting for ${file}`);
  writeFileSync(file, String(process.pid));
  try {
    return await work();
  } finally {
    await release();
  }
}

async function acquire(
  file: string,
  wait: boolean,
  signal?: AbortSignal,
): Promise<(() => Promise<void>) | undefined> {
  signal?.throwIfAborted();
  const mode = wait ? [] : ['--nonblock', '--conflict-exit-code', String(conflict)];
  const holder = spawn('flock', [...mode, file, 'sh', '-c', 'echo held && exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    // A separate session: Ctrl-C is for this process, which may still have to clean up under the lock.
    detached: true,
  });
  const giveUp = () => holder.kill();
  signal?.addEventListener('abort', giveUp);
  const exit = once(holder, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const held = await Promise.race([once(holder.stdout, 'data').then(() => true), exit.then(() => false)]);
  signal?.removeEventListener('abort', giveUp);
  if (held) {
    return async () => {
      holder.stdin.end();
      await exit;
    };
  }
  signal?.throwIfAborted();
  const [code] = await exit;
  if (code === conflict) return undefined;
  throw new Error(`flock(1) ended with ${code} for ${file}`);
}

function holderOf(file: string): string {
  const pid = Number(readFileSync(file, 'utf8'));
  return Number.isInteger(pid) && pid > 0 ? `process ${pid} (${commandLine(pid)})` : 'another process';
}
