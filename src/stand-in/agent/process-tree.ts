import { readdirSync, readFileSync } from 'node:fs';

/** A process as `/proc` shows it. A number may be given again: only together with its start is it one process. */
export interface ProcessFacts {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  /** Clock ticks since boot at its start. */
  readonly start: number;
  /** It has ended, and its parent has not asked for it yet. */
  readonly zombie: boolean;
}

export type ProcessId = Pick<ProcessFacts, 'pid' | 'start'>;

/** Undefined when there is no such process. @throws when that cannot be read: one that is not seen need not be gone */
export function readProcess(pid: number): ProcessFacts | undefined {
  const stat = readOf(pid, 'stat', gone);
  return stat === undefined ? undefined : parseProcess(pid, stat);
}

/** @throws when it is not all of `/proc/<pid>/stat` */
export function parseProcess(pid: number, stat: string): ProcessFacts {
  // The name, in parentheses, may hold anything; what follows its last parenthesis is regular.
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

/** It has ended, before or while it was read. */
const gone: readonly string[] = ['ENOENT', 'ESRCH'];
/** The same, or it belongs to another user. */
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

/** The process whose command line has this argument. */
export function findByArgument(argument: string): ProcessFacts | undefined {
  return allProcesses().find(({ pid, zombie }) => !zombie && readNulls(pid, 'cmdline').includes(argument));
}

function readNulls(pid: number, file: string): string[] {
  return readOf(pid, file, notOurs)?.split('\0') ?? [];
}

/** By what the processes of a task are known. */
export interface Belonging {
  /** In their environment, such as `MESOS_CONTAINER_ID=…`. */
  readonly mark: string;
  /** The task's own process, which leads a session. */
  readonly leader?: ProcessId;
}

/**
 * All processes of a task among `processes`, those of `known` included: whoever carries its mark, is in
 * its session, or descends from one of these.
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
    // A session keeps its number for as long as it has members, so a later process cannot come by it wrongly.
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
 * Ends all processes of a task: SIGTERM, then, after `graceMs`, SIGKILL, again and again until none is left,
 * those that were started meanwhile included. With no grace at all SIGKILL is the first signal.
 */
export async function killTree(belonging: Belonging, graceMs: number): Promise<void> {
  const known = new Map<number, number>();
  const told = new Set<number>();
  const killAt = performance.now() + graceMs;
  for (;;) {
    const alive = aliveOf(belonging, known);
    if (alive?.length === 0) return;
    for (const { pid, start } of alive ?? []) {
      known.set(pid, start);
      if (performance.now() >= killAt) signal(pid, 'SIGKILL');
      else if (!told.has(pid)) {
        told.add(pid);
        signal(pid, 'SIGTERM');
        // A stopped process does not receive it otherwise.
        signal(pid, 'SIGCONT');
      }
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** Undefined when they cannot be seen now: then there may be some. */
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
    // It has ended already.
  }
}
