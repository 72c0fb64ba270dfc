/**
 * A lab beside endless loops, 1, 5 and 20 for each core, with each preset of etcd's times: the time until a node that died is relaunched, until users get
 * a 200 again after the death of the leader's node, and how many elections and moves of Jupyter happen while nothing
 * fails.
 *
 *     npm run bench:overload -- [minutes without a fault, 30 by default] [loops per core, 0,1,5,20 by default]
 *       [presets, lan,busy by default]
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { timings } from '../src/cluster/normalize.js';
import { BenchLab } from './lab.js';
import { Probe, servedAt, type Sample } from './probe.js';
import { printTable, seconds, writeResult } from './report.js';

const calmMinutes = Number(process.argv[2] ?? 30);
const factors = (process.argv[3] ?? '0,1,5,20').split(',').map(Number);
const chosen = (process.argv[4] ?? 'lan,busy').split(',') as (keyof typeof timings)[];
const everyMs = 200;
/** A longer recovery is reported as none. */
const mostMs = 600_000;
const pollMs = 500;

interface Row {
  readonly timing: string;
  readonly loopsPerCore: number;
  readonly relaunchMs: number | null;
  readonly servedMs: number | null;
  readonly elections: number | null;
  readonly moves: number | null;
}

/** Ends by itself if this process dies. */
function startLoops(count: number): ChildProcess[] {
  const loop =
    'while [ "$(cut -d" " -f4 /proc/$$/stat)" = "$0" ]; do i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; done';
  return Array.from({ length: count }, () =>
    spawn('sh', ['-c', loop, String(process.pid)], { stdio: 'ignore' }),
  );
}

async function until<T>(ask: () => Promise<T | undefined>): Promise<T | undefined> {
  const end = performance.now() + mostMs;
  while (performance.now() < end) {
    const found = await ask().catch(() => undefined);
    if (found !== undefined) return found;
    await delay(pollMs);
  }
  return undefined;
}

const lab = new BenchLab('127.94');
const rows: Row[] = [];

/** A node that does not serve. */
async function relaunch(): Promise<number | null> {
  const { jupyter, framework } = await lab.ready();
  const victim = framework.tasks.find(({ node }) => node !== jupyter.node);
  if (victim === undefined) throw new Error('no node to kill');
  const begun = performance.now();
  lab.killNode(victim.node);
  const took = await until(async () => {
    const task = (await lab.status()).framework.tasks.find(({ node }) => node === victim.node);
    const isBack = task?.state === 'TASK_RUNNING' && task.taskId !== victim.taskId;
    return isBack ? performance.now() - begun : undefined;
  });
  return took ?? null;
}

async function failover(): Promise<number | null> {
  const { jupyter } = await lab.ready();
  const probes = (await lab.entrances()).map((entrance) => new Probe(entrance, everyMs));
  await delay(1_000);
  const begun = performance.now();
  lab.killNode(jupyter.node ?? '');
  const served = (samples: readonly Sample[]) => servedAt(samples, begun);
  const all = await until(async () => {
    const times = probes.map(({ samples }) => served(samples));
    return times.every((each) => each !== undefined)
      ? Math.max(...times.map((each) => each ?? 0))
      : undefined;
  });
  await Promise.all(probes.map((probe) => probe.stop()));
  return all === undefined ? null : all - begun;
}

async function calm(): Promise<Pick<Row, 'elections' | 'moves'>> {
  const before = await lab.ready();
  await delay(calmMinutes * 60_000);
  const after = await until(async () => {
    const status = await lab.status();
    return status.etcd.term === null || status.jupyter.generation === null ? undefined : status;
  });
  const difference = (one: number | null, other: number | null | undefined) =>
    one === null || other === null || other === undefined ? null : other - one;
  return {
    elections: difference(before.etcd.term, after?.etcd.term),
    moves: difference(before.jupyter.generation, after?.jupyter.generation),
  };
}

async function measure(timing: string, loopsPerCore: number): Promise<void> {
  await lab.ready();
  const loops = startLoops(loopsPerCore * cpus().length);
  try {
    const relaunchMs = await relaunch();
    const servedMs = await failover();
    const row = { timing, loopsPerCore, relaunchMs, servedMs, ...(await calm()) };
    rows.push(row);
    console.log(JSON.stringify(row));
  } finally {
    for (const loop of loops) loop.kill('SIGKILL');
  }
}

try {
  await lab.up();
  for (const timing of chosen) {
    await lab.set('etcd', timings[timing]);
    for (const loopsPerCore of factors) await measure(timing, loopsPerCore);
  }
} finally {
  await lab.purge();
}

const shown = (ms: number | null) => (ms === null ? `over ${seconds(mostMs)}` : seconds(ms));
printTable([
  [
    'timing',
    'loops per core',
    'node relaunched',
    '200 after the leader',
    `elections in ${calmMinutes} min`,
    'moves',
  ],
  ...rows.map(({ timing, loopsPerCore, relaunchMs, servedMs, elections, moves }) => [
    ...[timing, String(loopsPerCore), shown(relaunchMs), shown(servedMs)],
    ...[String(elections ?? 'not known'), String(moves ?? 'not known')],
  ]),
]);
writeResult('overload', { calmMinutes, rows });
