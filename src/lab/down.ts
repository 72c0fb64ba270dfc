import { existsSync, readdirSync, rmSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { PerijoveError, messageOf } from '../errors/error.js';
import { withLock } from './lock.js';
import { crashHost, shutDownHost } from './machine.js';
import {
  commandLine,
  ended,
  identified,
  isAlive,
  killAll,
  processStat,
  signal,
  type ProcessIdentity,
} from './processes.js';
import { isOfLab, labPaths, readLab, writeLab, type LabState } from './state.js';
import { centralProcesses, labProcesses } from './sweep.js';

/** Workers finish their activities; Temporal writes its database. */
const graceMs = 30_000;

export interface LabDownOptions {
  readonly stateDir: string;
  /** Also remove all files of the lab. */
  readonly purge: boolean;
  readonly report: (line: string) => void;
}

/**
 * Stops a lab in order: workers and status page, hosts, Temporal server. Its data stays in the state directory, and the next
 * start resumes from it. With `purge` all processes are killed and the directory is removed, even when the
 * lab's record is unreadable. Files not created by the lab stay, and with them the directory.
 *
 * @throws PerijoveError LAB_BUSY, LAB_ABSENT, LAB_STATE_UNREADABLE, LAB_REMAINS
 */
export async function stopLab(options: LabDownOptions): Promise<void> {
  const { stateDir, purge, report } = options;
  if (!existsSync(stateDir)) {
    // A directory removed by hand leaves processes behind.
    if (purge) return sweep(stateDir);
    throw new PerijoveError('LAB_ABSENT', `there is no lab in ${stateDir}`);
  }
  if (purge) requireLabDirectory(stateDir);
  await withLock(labPaths(stateDir).lock, {}, async () => {
    const lab = readForStop(options);
    if (!purge) {
      if (lab) await stopInOrder(stateDir, lab, report);
      return;
    }
    // No orderly stop is needed before removal.
    await Promise.all((lab?.hosts ?? []).map((host) => crashHost(stateDir, host)));
    await sweep(stateDir);
    removeFiles(stateDir);
    report(`removed ${stateDir}`);
  });
}

function readForStop({ stateDir, purge, report }: LabDownOptions): LabState | undefined {
  try {
    const lab = readLab(stateDir);
    if (!lab && !purge) throw new PerijoveError('LAB_ABSENT', `there is no lab in ${stateDir}`);
    return lab;
  } catch (thrown) {
    if (!purge) throw thrown;
    report(messageOf(thrown));
    return undefined;
  }
}

async function stopInOrder(stateDir: string, lab: LabState, report: (line: string) => void): Promise<void> {
  const isTemporal = ({ pid, startTime }: ProcessIdentity) =>
    pid === lab.temporal?.pid && startTime === lab.temporal.startTime;
  const { found: central } = identified(() => centralProcesses(stateDir));

  report('stopping the workers and the status page');
  await end(central.filter((identity) => !isTemporal(identity)));
  report(`stopping hosts ${lab.hosts.map((host) => host.name).join(', ')}`);
  await Promise.all(lab.hosts.map((host) => shutDownHost(stateDir, host)));
  report('stopping the Temporal server');
  await end(central.filter(isTemporal));
  writeLab(stateDir, { ...lab, temporal: undefined, page: undefined, workers: [] });
}

async function end(processes: readonly ProcessIdentity[]): Promise<void> {
  for (const identity of processes) signal(identity, 'SIGTERM');
  if (await ended(processes, graceMs)) return;
  await killAll(() => processes.filter(isAlive).map(({ pid }) => pid));
}

async function sweep(stateDir: string): Promise<void> {
  await killAll(() => labProcesses(stateDir));
  const left = [...labProcesses(stateDir)].filter((pid) => processStat(pid));
  if (left.length === 0) return;
  throw new PerijoveError(
    'LAB_REMAINS',
    `cannot kill these processes of the lab: ${left.map((pid) => `${pid} (${commandLine(pid)})`).join(', ')}`,
    { subject: stateDir },
  );
}

/**
 * Removes only the lab's own files, and only from a lab's directory: a directory given by mistake may contain
 * another `hosts` or `notebooks`.
 */
function requireLabDirectory(stateDir: string): void {
  const entries = readdirSync(stateDir);
  const { state } = labPaths(stateDir);
  if (entries.includes(path.basename(state)) || entries.every(isOfLab)) return;
  throw new PerijoveError('LAB_ABSENT', `${stateDir} contains other files and no lab`, {
    subject: stateDir,
  });
}

/** Removes the lock file last, so that no other start uses a directory that is being removed. */
function removeFiles(stateDir: string): void {
  const { lock, state } = labPaths(stateDir);
  try {
    for (const entry of readdirSync(stateDir).filter(isOfLab)) {
      const file = path.join(stateDir, entry);
      // Removed last: without it the directory would no longer be recognized as a lab's.
      if (file !== lock && file !== state) rmSync(file, { recursive: true, force: true });
    }
    rmSync(state, { force: true });
    rmSync(lock, { force: true });
    rmdirSync(stateDir);
  } catch (thrown) {
    throw new PerijoveError('LAB_REMAINS', `cannot remove all of ${stateDir}: ${messageOf(thrown)}`, {
      subject: stateDir,
      cause: thrown,
    });
  }
}
