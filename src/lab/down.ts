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

/** A worker lets its activities end; Temporal writes its database. */
const graceMs = 30_000;

export interface LabDownOptions {
  readonly stateDir: string;
  /** Leave nothing: no process and no file. */
  readonly purge: boolean;
  readonly report: (line: string) => void;
}

/**
 * Ends a lab in order: workers, hosts, Temporal server. What it knows stays in the state directory, and the
 * next start resumes from it. With `purge` everything is killed and the directory removed, also when the lab's
 * record cannot be read. What the lab has not made stays, and with it the directory.
 *
 * @throws PerijoveError LAB_BUSY, LAB_ABSENT, LAB_STATE_UNREADABLE, LAB_REMAINS
 */
export async function stopLab(options: LabDownOptions): Promise<void> {
  const { stateDir, purge, report } = options;
  if (!existsSync(stateDir)) {
    // A directory that was removed by hand leaves processes.
    if (purge) return sweep(stateDir);
    throw new PerijoveError('LAB_ABSENT', `There is no lab in ${stateDir}.`);
  }
  if (purge) requireLabDirectory(stateDir);
  await withLock(labPaths(stateDir).lock, {}, async () => {
    const lab = readForStop(options);
    if (!purge) {
      if (lab) await stopInOrder(stateDir, lab, report);
      return;
    }
    // Nothing has to end well of what is removed next.
    await Promise.all((lab?.hosts ?? []).map((host) => crashHost(stateDir, host)));
    await sweep(stateDir);
    removeFiles(stateDir);
    report(`Removed ${stateDir}`);
  });
}

function readForStop({ stateDir, purge, report }: LabDownOptions): LabState | undefined {
  try {
    const lab = readLab(stateDir);
    if (!lab && !purge) throw new PerijoveError('LAB_ABSENT', `There is no lab in ${stateDir}.`);
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

  await end(central.filter((identity) => !isTemporal(identity)));
  report('Workers are down');
  await Promise.all(lab.hosts.map((host) => shutDownHost(stateDir, host)));
  report(`Hosts are down: ${lab.hosts.map((host) => host.name).join(', ')}`);
  await end(central.filter(isTemporal));
  report('Temporal is down');
  writeLab(stateDir, { ...lab, temporal: undefined, workers: [] });
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
    `These processes of the lab could not be killed: ${left.map((pid) => `${pid} (${commandLine(pid)})`).join(', ')}`,
    { subject: stateDir },
  );
}

/**
 * Only what the lab itself makes is removed, and only where a lab has been: a directory that was named by mistake may
 * hold somebody's own `hosts` or `notebooks`.
 */
function requireLabDirectory(stateDir: string): void {
  const entries = readdirSync(stateDir);
  const { state } = labPaths(stateDir);
  if (entries.includes(path.basename(state)) || entries.every(isOfLab)) return;
  throw new PerijoveError('LAB_ABSENT', `There is no lab in ${stateDir}, but other files are.`, {
    subject: stateDir,
  });
}

/** The lock's file goes last, so that no other start meets a directory that is being removed. */
function removeFiles(stateDir: string): void {
  const { lock, state } = labPaths(stateDir);
  try {
    for (const entry of readdirSync(stateDir).filter(isOfLab)) {
      const file = path.join(stateDir, entry);
      // Last, so that without it the rest is not taken for a directory that was named by mistake.
      if (file !== lock && file !== state) rmSync(file, { recursive: true, force: true });
    }
    rmSync(state, { force: true });
    rmSync(lock, { force: true });
    rmdirSync(stateDir);
  } catch (thrown) {
    throw new PerijoveError('LAB_REMAINS', `Not all of ${stateDir} could be removed: ${messageOf(thrown)}`, {
      subject: stateDir,
      cause: thrown,
    });
  }
}
