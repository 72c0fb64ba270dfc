import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';

/** Identifies a process across PID reuse by its start time and boot. */
export const processIdentitySchema = z.object({
  pid: z.int().positive(),
  /** Clock ticks since boot, field 22 of `/proc/<pid>/stat` (proc(5)). */
  startTime: z.int().nonnegative(),
  /** `/proc/sys/kernel/random/boot_id` */
  boot: z.string(),
});
export type ProcessIdentity = Readonly<z.infer<typeof processIdentitySchema>>;

/** The content of `/proc/<pid>/stat`. */
export interface ProcessStat {
  readonly pid: number;
  readonly name: string;
  /** `Z` is a zombie: it has ended and has not been reaped. */
  readonly state: string;
  readonly parent: number;
  readonly startTime: number;
  /** A process whose first thread ended is a zombie while its other threads still hold its files. */
  readonly threads: number;
}

/**
 * Parses `/proc/<pid>/stat`. The name is in parentheses and may itself contain parentheses and blanks, so
 * fields are counted from the last closing one.
 */
export function parseStat(line: string): ProcessStat {
  const open = line.indexOf('(');
  const close = line.lastIndexOf(')');
  const rest = line.slice(close + 2).split(' ');
  return {
    pid: Number(line.slice(0, open)),
    name: line.slice(open + 1, close),
    state: rest[0] ?? '',
    parent: Number(rest[1]),
    startTime: Number(rest[19]),
    threads: Number(rest[17]),
  };
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch (thrown) {
    const { code = '' } = thrown as NodeJS.ErrnoException;
    // It has just ended, or belongs to another user. Any other error does not mean that it ended.
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(code)) return undefined;
    throw thrown;
  }
}

/**
 * The process, unless it has ended; a zombie has ended, and its files are closed, once it has one thread
 * left.
 */
export function processStat(pid: number): ProcessStat | undefined {
  const line = readProc(pid, 'stat');
  if (line === undefined) return undefined;
  const stat = parseStat(line);
  const ended = stat.state === 'X' || (stat.state === 'Z' && stat.threads <= 1);
  return ended ? undefined : stat;
}

/** All live processes of the machine. */
export function allProcesses(): ProcessStat[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((entry) => processStat(Number(entry)))
    .filter((stat) => stat !== undefined);
}

/** One variable of the process's initial environment; undefined for other users' processes. */
export function startVariable(pid: number, name: string): string | undefined {
  return readProc(pid, 'environ')
    ?.split('\0')
    .find((entry) => entry.startsWith(`${name}=`))
    ?.slice(name.length + 1);
}

/** The command line; empty for an ended process. */
export function commandArguments(pid: number): string[] {
  return readProc(pid, 'cmdline')?.replace(/\0+$/, '').split('\0') ?? [];
}

/** The command line as text. */
export function commandLine(pid: number): string {
  const line = commandArguments(pid).join(' ').trim();
  return line === '' ? (processStat(pid)?.name ?? '?') : line;
}

let boot: string | undefined;
function bootId(): string {
  return (boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
}

/** The identity of a live process; undefined when it has ended. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = processStat(pid);
  return stat && { pid, startTime: stat.startTime, boot: bootId() };
}

/** Whether the identified process is still alive. */
export function isAlive(process: ProcessIdentity): boolean {
  return process.boot === bootId() && processStat(process.pid)?.startTime === process.startTime;
}

/** Signals the process if it is still the same one and may be signalled. Returns whether it was sent. */
export function signal(target: ProcessIdentity, name: NodeJS.Signals): boolean {
  if (!isAlive(target)) return false;
  try {
    process.kill(target.pid, name);
    return true;
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'ESRCH' || code === 'EPERM') return false;
    throw thrown;
  }
}

/** Resolves to true once all processes have ended, or to false after `timeoutMs`. */
export async function ended(processes: readonly ProcessIdentity[], timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (processes.some(isAlive)) {
    if (Date.now() >= deadline) return false;
    await delay(50);
  }
  return true;
}

/** The given processes with all their descendants, children after parents. */
export function withDescendants(
  roots: Iterable<number>,
  processes: readonly Pick<ProcessStat, 'pid' | 'parent'>[],
): Set<number> {
  const children = new Map<number, number[]>();
  for (const { pid, parent } of processes) children.set(parent, [...(children.get(parent) ?? []), pid]);
  const found = new Set(roots);
  for (const pid of found) for (const child of children.get(pid) ?? []) found.add(child);
  return found;
}

/**
 * The processes that `collect` finds, each with its identity from before the search, to exclude reused
 * process IDs. Processes started meanwhile are left out and counted.
 */
export function identified(collect: () => Iterable<number>): {
  readonly found: readonly ProcessIdentity[];
  readonly young: number;
} {
  const before = new Map(allProcesses().map(({ pid, startTime }) => [pid, startTime]));
  const found: ProcessIdentity[] = [];
  let young = 0;
  for (const pid of collect()) {
    const identity = identify(pid);
    if (!identity) continue;
    if (before.get(pid) === identity.startTime) found.push(identity);
    else young += 1;
  }
  return { found, young };
}

/**
 * Kills a set of processes that may be forking: stops what `collect` finds until it finds nothing new, so
 * that nothing escapes between two searches, then kills all of it. Resolves to the killed processes.
 */
export async function killAll(collect: () => Iterable<number>): Promise<ProcessIdentity[]> {
  const stopped = new Map<number, ProcessIdentity>();
  for (let fresh = true; fresh;) {
    const { found, young } = identified(collect);
    fresh = young > 0;
    for (const identity of found) {
      const { pid } = identity;
      const known = stopped.get(pid);
      if (pid === process.pid || (known && isAlive(known))) continue;
      if (!signal(identity, 'SIGSTOP')) continue;
      stopped.set(pid, identity);
      fresh = true;
    }
  }
  const killed = [...stopped.values()];
  for (const identity of killed) signal(identity, 'SIGKILL');
  await ended(killed, 10_000);
  return killed;
}
