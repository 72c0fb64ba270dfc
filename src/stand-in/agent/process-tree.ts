import { readdirSync, readFileSync } from 'node:fs';

/** A process from `/proc`. PIDs are reused; PID and start time together identify a process. */
export interface ProcessFacts {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  /** Start time, in clock ticks since boot. */
  readonly start: number;
  /** It has ended and has not been reaped. */
  readonly zombie: boolean;
}

export type ProcessId = Pick<ProcessFacts, 'pid' | 'start'>;

/** Undefined when there is no such process. @throws when unreadable: it may still be alive */
export function readProcess(pid: number): ProcessFacts | undefined {
  const stat = readOf(pid, 'stat', gone);
  return stat === undefined ? undefined : parseProcess(pid, stat);
}

/** @throws when `stat` is not a complete `/proc/<pid>/stat` */
export function parseProcess(pid: number, stat: string): ProcessFacts {
  // The name, in parentheses, may contain anything; the rest after the last parenthesis is regular.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (!stat.endsWith('\n') || fields.length < 20) throw new Error(`/proc/${pid}/stat is cut short`);
  return {
    pid,
    parent: Number(fields[1]),
    session: Number(fields[3]),
    start: Number(fields[19]),
    zombie: fields[0] === 'Z' || fields[0] === 'X',
  };
}

/** It ended before or while it was read. */
const gone: readonly string[] = ['ENOENT', 'ESRCH'];
/** As `gone`, or owned by another user. */
const notOurs: readonly string[] = [...gone, 'EACCES', 'EPERM'];

function readOf(pid: number, file: string, passed: readonly string[]): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch (error) {
    if (passed.includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

export function isAlive({ pid, start }: ProcessId): boolean {
  const process = readProcess(pid);
  return process?.start === start && !process.zombie;
}

export function allProcesses(): ProcessFacts[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .flatMap((name) => readProcess(Number(name)) ?? []);
}

/** The process that has this command-line argument. */
export function findByArgument(argument: string): ProcessFacts | undefined {
  return allProcesses().find(({ pid, zombie }) => !zombie && readNulls(pid, 'cmdline').includes(argument));
}

function readNulls(pid: number, file: string): string[] {
  return readOf(pid, file, notOurs)?.split('\0') ?? [];
}

/** Identifies the processes of a task. */
export interface Belonging {
  /** A variable of their environment, such as `MESOS_CONTAINER_ID=…`. */
  readonly mark: string;
  /** The task's main process, which leads a session. */
  readonly leader?: ProcessId;
}

/**
 * All processes of a task among `processes`, including those in `known`: a process that carries the mark, is
 * in the session, or descends from such a process.
 */
export function membersOf(
  belonging: Belonging,
  processes: readonly ProcessFacts[],
  known: ReadonlyMap<number, number>,
  carries: (pid: number) => boolean = (pid) => readNulls(pid, 'environ').includes(belonging.mark),
): ProcessFacts[] {
  const { leader } = belonging;
  const members = new Set<number>();
  for (const { pid, start, session } of processes) {
    // A session ID is reserved while the session has members, so a later process cannot get it by reuse.
    const inSession = leader !== undefined && session === leader.pid && start >= leader.start;
    if (known.get(pid) === start || inSession || carries(pid)) members.add(pid);
  }
  for (let grown = true; grown;) {
    const before = members.size;
    for (const { pid, parent } of processes) if (members.has(parent)) members.add(pid);
    grown = members.size > before;
  }
  return processes.filter(({ pid }) => members.has(pid));
}

const pauseMs = 25;

/**
 * Ends all processes of a task: SIGTERM, then, after `graceMs`, repeated SIGKILL until none is left,
 * including those started meanwhile. Without a grace period SIGKILL comes first.
 */
export async function killTree(belonging: Belonging, graceMs: number): Promise<void> {
  const known = new Map<number, number>();
  const signalled = new Set<number>();
  const killAt = performance.now() + graceMs;
  for (;;) {
    const alive = aliveOf(belonging, known);
    if (alive?.length === 0) return;
    for (const { pid, start } of alive ?? []) {
      known.set(pid, start);
      if (performance.now() >= killAt) signal(pid, 'SIGKILL');
      else if (!signalled.has(pid)) {
        signalled.add(pid);
        signal(pid, 'SIGTERM');
        // A stopped process does not handle it otherwise.
        signal(pid, 'SIGCONT');
      }
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** Undefined when they cannot be listed: there may be some. */
function aliveOf(belonging: Belonging, known: ReadonlyMap<number, number>): ProcessFacts[] | undefined {
  try {
    return membersOf(belonging, allProcesses(), known).filter(
      ({ pid, zombie }) => !zombie && pid !== process.pid,
    );
  } catch {
    return undefined;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Already ended.
  }
}
