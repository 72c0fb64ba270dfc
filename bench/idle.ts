/**
 * What a lab with five nodes costs while nobody uses it: processor time, wake-ups, writes and memory of each kind of
 * process, and of what is Perijove's own. With strace on PATH, also the calls of fsync and fdatasync, counted
 * afterwards.
 *
 *     npm run bench:idle -- [minutes to wait before, 5 by default] [minutes to measure, 5 by default]
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { commandArguments, commandLine, processStat } from '../src/lab/processes.js';
import { BenchLab } from './lab.js';
import { printTable, writeResult } from './report.js';

const run = promisify(execFile);
const settleMinutes = Number(process.argv[2] ?? 5);
const minutes = Number(process.argv[3] ?? 5);
const traceSeconds = 30;
/** Of `/proc/PID/stat`; the same on all architectures of Linux that Node.js runs on. */
const ticksPerSecond = 100;

/** By program, and whether it is Perijove's own: the stand-in belongs to the lab alone, Temporal to nobody here. */
const kinds: readonly (readonly [kind: string, own: boolean, matches: (command: string) => boolean])[] = [
  ['worker', true, (command) => /perijove\.js worker/.test(command)],
  ['node program', true, (command) => command.includes('perijove-node.mjs')],
  ['proxy', true, (command) => /perijove-proxy(-worker)?\.mjs/.test(command)],
  ['stand-in master', false, (command) => command.includes('mesos-master')],
  ['stand-in agent', false, (command) => command.includes('mesos-agent')],
  ['stand-in executor', false, (command) => command.includes('mesos-executor')],
  ['Temporal', false, (command) => /temporal\b.*server/.test(command)],
  ['ZooKeeper', false, (command) => command.includes('org.apache.zookeeper')],
  ['etcd', false, (command) => /(^|\/)etcd /.test(command)],
  ['Jupyter', false, (command) => /jupyter/.test(command)],
  ['sshd', false, (command) => /sshd/.test(command)],
  ['runit', false, (command) => /\b(runsv|runsvdir|svlogd)\b/.test(command)],
];

interface Sample {
  readonly cpuTicks: number;
  readonly wakeUps: number;
  readonly writtenBytes: number;
  readonly pssKiB: number;
}

const zero: Sample = { cpuTicks: 0, wakeUps: 0, writtenBytes: 0, pssKiB: 0 };

const figure = (text: string, name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1]);

/** Voluntary switches of all threads: each is a wait that ended. */
function wakeUpsOf(pid: number): number {
  const tasks = path.join('/proc', String(pid), 'task');
  return readdirSync(tasks)
    .map((task) => figure(readFileSync(path.join(tasks, task, 'status'), 'utf8'), 'voluntary_ctxt_switches'))
    .reduce((sum, count) => sum + count, 0);
}

/** Undefined for a process that has ended. */
function sampleOf(pid: number): Sample | undefined {
  const stat = processStat(pid);
  if (stat === undefined) return undefined;
  try {
    const proc = (name: string) => readFileSync(path.join('/proc', String(pid), name), 'utf8');
    const fields = proc('stat')
      .replace(/^.*\) /, '')
      .split(' ');
    return {
      cpuTicks: Number(fields[11]) + Number(fields[12]),
      wakeUps: wakeUpsOf(pid),
      writtenBytes: figure(proc('io'), 'write_bytes'),
      pssKiB: figure(proc('smaps_rollup'), 'Pss'),
    };
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

const kindOf = (pid: number): string => {
  const command = commandLine(pid);
  const found = kinds.find(([, , matches]) => matches(command));
  return found?.[0] ?? `other: ${path.basename(commandArguments(pid)[0] ?? '?')}`;
};

/** Of each process that lived all the time. A short one, such as a check by runit, counts nowhere. */
function differences(before: ReadonlyMap<number, Sample>): Map<string, Sample & { processes: number }> {
  const sums = new Map<string, Sample & { processes: number }>();
  for (const [pid, old] of before) {
    const now = sampleOf(pid);
    if (now === undefined) continue;
    const kind = kindOf(pid);
    const sum = sums.get(kind) ?? { ...zero, processes: 0 };
    sums.set(kind, {
      processes: sum.processes + 1,
      cpuTicks: sum.cpuTicks + now.cpuTicks - old.cpuTicks,
      wakeUps: sum.wakeUps + now.wakeUps - old.wakeUps,
      writtenBytes: sum.writtenBytes + now.writtenBytes - old.writtenBytes,
      pssKiB: sum.pssKiB + now.pssKiB,
    });
  }
  return sums;
}

/** Calls that wait for a disk, by kind; undefined without strace. */
async function syncsByKind(pids: readonly number[]): Promise<Map<string, number> | undefined> {
  const log = lab.file('syncs');
  const targets = pids.flatMap((pid) => ['-p', String(pid)]);
  const options = ['-f', '-qq', '-e', 'trace=fsync,fdatasync', '-o', log, ...targets];
  const owner = new Map(
    pids.flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((task) => [task, kindOf(pid)] as const)),
  );
  try {
    await run('timeout', ['--signal=INT', String(traceSeconds), 'strace', ...options]);
  } catch (error) {
    const { code } = error as { readonly code?: number | string };
    // 124: its time is over.
    if (code !== 124) return undefined;
  }
  const counts = new Map<string, number>();
  for (const [, task = ''] of readFileSync(log, 'utf8').matchAll(/^(\d+) +(?:fsync|fdatasync)\(/gm)) {
    const kind = owner.get(task) ?? 'started meanwhile';
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

const lab = new BenchLab('127.94');
try {
  await lab.up();
  await lab.ready();
  await delay(settleMinutes * 60_000);
  const before = new Map<number, Sample>();
  for (const pid of lab.processes()) {
    const sample = sampleOf(pid);
    if (sample !== undefined) before.set(pid, sample);
  }
  const begun = performance.now();
  await delay(minutes * 60_000);
  const tookSeconds = (performance.now() - begun) / 1_000;
  const sums = differences(before);
  const syncs = await syncsByKind([...before.keys()].filter((pid) => processStat(pid) !== undefined));

  const rows = [...sums].map(([kind, sum]) => ({
    kind,
    own: kinds.some(([name, own]) => name === kind && own),
    processes: sum.processes,
    corePercent: (sum.cpuTicks / ticksPerSecond / tookSeconds) * 100,
    wakeUpsPerSecond: sum.wakeUps / tookSeconds,
    writtenKiBPerSecond: sum.writtenBytes / 1_024 / tookSeconds,
    pssMiB: sum.pssKiB / 1_024,
    syncsPerSecond: syncs === undefined ? null : (syncs.get(kind) ?? 0) / traceSeconds,
  }));
  const total = (of: typeof rows) => ({
    processes: of.reduce((sum, row) => sum + row.processes, 0),
    corePercent: of.reduce((sum, row) => sum + row.corePercent, 0),
    wakeUpsPerSecond: of.reduce((sum, row) => sum + row.wakeUpsPerSecond, 0),
    writtenKiBPerSecond: of.reduce((sum, row) => sum + row.writtenKiBPerSecond, 0),
    pssMiB: of.reduce((sum, row) => sum + row.pssMiB, 0),
    syncsPerSecond:
      syncs === undefined ? null : of.reduce((sum, { syncsPerSecond }) => sum + (syncsPerSecond ?? 0), 0),
  });
  const sorted = rows.toSorted((a, b) => b.corePercent - a.corePercent);
  const sum = { own: total(rows.filter(({ own }) => own)), all: total(rows) };
  printTable([
    ['', 'processes', 'of a core', 'wake-ups/s', 'written/s', 'fsync/s', 'memory (Pss)'],
    ...[...sorted, { kind: "Perijove's own", ...sum.own }, { kind: 'all', ...sum.all }].map((row) => [
      ...[
        row.kind,
        String(row.processes),
        `${row.corePercent.toFixed(1)} %`,
        row.wakeUpsPerSecond.toFixed(0),
      ],
      ...[`${row.writtenKiBPerSecond.toFixed(0)} KiB`, row.syncsPerSecond?.toFixed(1) ?? '-'],
      `${row.pssMiB.toFixed(0)} MiB`,
    ]),
  ]);
  writeResult('idle', { settleMinutes, minutes, rows: sorted, sum });
} finally {
  await lab.purge();
}
