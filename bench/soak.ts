/**
 * A lab for hours, with a drill every two minutes: memory, open files and threads of every process by its kind, and
 * the history of every workflow, as a table and as a picture. What grows with age is a leak. Workers are never
 * killed, so that they grow old; what the drills kill starts again young.
 *
 * SIGINT ends it early, with what was seen until then.
 *
 *     npm run bench:soak -- [minutes, 120 by default] [drills, all that a lab can run but worker-kill and host-crash]
 */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { commandArguments, processStat } from '../src/lab/processes.js';
import { pause } from '../src/net/pause.js';
import { BenchLab } from './lab.js';
import { printTable, writeResult } from './report.js';
import { writeSoak, type Course } from './soak-picture.js';

const minutes = Number(process.argv[2] ?? 120);
const drillEveryMs = 120_000;
const sampleEveryMs = 15_000;
/** Of the run: programs load and caches fill before it. */
const warmShare = 0.25;
/** Memory that a process may gain after that: a garbage collector that runs seldom gains more than nothing. */
const mayGain = { memoryMiB: 1.25, files: 1.25 } as const;

interface Sample {
  readonly atMs: number;
  readonly memoryMiB: number;
  readonly files: number;
  readonly threads: number;
}

const kinds: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ['worker', /bin\/perijove\.js worker/],
  ['Temporal', /temporal server start-dev/],
  ['proxy primary', /perijove-proxy\.mjs/],
  ['proxy worker', /perijove-proxy-worker\.mjs/],
  ['node runtime', /perijove-node\.mjs start/],
  ['control API', /perijove-node\.mjs serve/],
  ['executor', /mesos-executor\.mjs/],
  ['stand-in agent', /mesos-agent\.mjs/],
  ['stand-in master', /mesos-master\.mjs/],
  ['ZooKeeper', /^java .*[Zz]ookeeper/],
  ['etcd', /\/etcd --name=/],
  ['Jupyter', /jupyter-lab/],
  ['sshd', /sshd: .*\[listener\]/],
];

function kindOf(pid: number): string | undefined {
  const line = commandArguments(pid).join(' ');
  return kinds.find(([, pattern]) => pattern.test(line))?.[0];
}

function sample(pid: number, atMs: number): Sample | undefined {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
    const files = readdirSync(`/proc/${pid}/fd`).length;
    return { atMs, memoryMiB: (pages * 4096) / 2 ** 20, files, threads: processStat(pid)?.threads ?? 0 };
  } catch {
    return undefined;
  }
}

const lab = new BenchLab('127.95');
/** By kind, PID and start time. */
const processes = new Map<string, { readonly kind: string; readonly samples: Sample[] }>();
const histories = new Map<
  string,
  { readonly atMs: number; readonly events: number; readonly bytes: number }[]
>();
const drills: { readonly name: string; readonly passed: boolean; readonly atMs: number }[] = [];
let begun = 0;
const now = () => Date.now() - begun;
const end = new AbortController();
process.once('SIGINT', () => end.abort());

function sampleProcesses(): void {
  const atMs = now();
  for (const pid of lab.processes()) {
    const kind = kindOf(pid);
    const seen = sample(pid, atMs);
    const stat = processStat(pid);
    if (kind === undefined || seen === undefined || stat === undefined) continue;
    const key = `${kind}/${pid}/${stat.startTime}`;
    const known = processes.get(key) ?? { kind, samples: [] };
    processes.set(key, known);
    known.samples.push(seen);
  }
}

async function sampleHistories(client: Client): Promise<void> {
  const atMs = now();
  for await (const { workflowId, runId } of client.workflow.list({ query: 'ExecutionStatus = "Running"' })) {
    const { historyLength, historySize } = await client.workflow.getHandle(workflowId, runId).describe();
    const known = histories.get(workflowId) ?? [];
    histories.set(workflowId, known);
    known.push({ atMs, events: historyLength, bytes: historySize ?? 0 });
  }
}

async function watch(client: Client): Promise<void> {
  while (!end.signal.aborted) {
    sampleProcesses();
    await sampleHistories(client).catch(() => undefined);
    await pause(sampleEveryMs, end.signal);
  }
}

/** One drill every two minutes, until the time is over. */
async function drill(names: readonly string[]): Promise<void> {
  for (let count = 0; now() < minutes * 60_000 && !end.signal.aborted; count++) {
    const name = names[count % names.length] ?? '';
    const atMs = now();
    const passed = await lab
      .ready()
      .then(() => lab.command('drill', 'run', name))
      .then(
        () => true,
        (thrown: unknown) => {
          console.log(`${name}: ${String((thrown as { stdout?: unknown }).stdout ?? thrown).slice(0, 400)}`);
          return false;
        },
      );
    drills.push({ name, passed, atMs });
    await pause(Math.max(0, Math.min(atMs + drillEveryMs, minutes * 60_000) - now()), end.signal);
  }
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/** Medians of a process's or workflow's second and last quarter. */
function quarters<T extends { readonly atMs: number }>(samples: readonly T[], value: (sample: T) => number) {
  const from = samples[0]?.atMs ?? 0;
  const lasted = (samples.at(-1)?.atMs ?? 0) - from;
  const between = (low: number, high: number) =>
    samples.filter(({ atMs }) => atMs >= from + low * lasted && atMs <= from + high * lasted).map(value);
  return {
    lastedMs: lasted,
    early: median(between(warmShare, 0.5)),
    late: median(between(0.75, 1)),
    most: Math.max(...samples.map(value)),
  };
}

interface Row {
  readonly what: string;
  readonly lastedMs: number;
  readonly values: Readonly<Record<string, { early: number; late: number; most: number }>>;
  readonly grows: readonly string[];
}

function byKind() {
  const found = new Map<string, (readonly Sample[])[]>();
  for (const { kind, samples } of processes.values()) found.set(kind, [...(found.get(kind) ?? []), samples]);
  return [...found].toSorted(([a], [b]) => order(a) - order(b));
}
const order = (kind: string) => kinds.findIndex(([each]) => each === kind);

/** The oldest process of each kind, and each workflow that is there at the end. */
function rows(): Row[] {
  const grown = (values: Row['values'], most: Readonly<Record<string, number>>) =>
    Object.entries(values).flatMap(([name, { early, late }]) =>
      late > early * (most[name] ?? Infinity) + 1 ? [name] : [],
    );
  const ofProcesses = byKind().map(([what, all]): Row => {
    const oldest = all.toSorted((a, b) => b.length - a.length)[0] ?? [];
    const values = {
      memoryMiB: quarters(oldest, ({ memoryMiB }) => memoryMiB),
      files: quarters(oldest, ({ files }) => files),
      threads: quarters(oldest, ({ threads }) => threads),
    };
    return { what, lastedMs: values.files.lastedMs, values, grows: grown(values, mayGain) };
  });
  const ofWorkflows = [...histories].map(([what, all]): Row => {
    const values = { events: quarters(all, ({ events }) => events) };
    // A history grows until its workflow continues as new; its peak must not.
    return { what, lastedMs: values.events.lastedMs, values, grows: [] };
  });
  return [...ofProcesses, ...ofWorkflows];
}

function courses(): Course[] {
  const panel = (what: string, unit: string, lines: Course['lines']): Course => ({ what, unit, lines });
  return [
    ...byKind().flatMap(([kind, all]) => [
      panel(
        kind,
        'MiB',
        all.map((samples) => samples.map(({ atMs, memoryMiB }) => [atMs, memoryMiB] as const)),
      ),
      panel(
        kind,
        'open files',
        all.map((samples) => samples.map(({ atMs, files }) => [atMs, files] as const)),
      ),
    ]),
    ...[...histories].flatMap(([id, all]) => [
      panel(id, 'events', [all.map(({ atMs, events }) => [atMs, events] as const)]),
      panel(id, 'KiB', [all.map(({ atMs, bytes }) => [atMs, bytes / 1_024] as const)]),
    ]),
  ];
}

let warnings: readonly string[] = [];
let survivors: readonly string[] = [];
try {
  await lab.up();
  await lab.ready();
  const { temporal, workers } = await lab.labStatus();
  const connection = await Connection.connect({ address: temporal?.address ?? '' });
  const client = new Client({ connection });
  const possible = JSON.parse(await lab.command('drill', 'list', '--json')) as readonly {
    readonly name: string;
    readonly possible: boolean;
  }[];
  const names =
    process.argv[3]?.split(',') ??
    possible.flatMap((each) =>
      each.possible && !['worker-kill', 'host-crash'].includes(each.name) ? [each.name] : [],
    );
  begun = Date.now();
  const watching = watch(client);
  await drill(names);
  end.abort();
  await watching;
  await connection.close();
  const alive = new Set((await lab.labStatus()).workers.map(({ pid }) => pid));
  survivors = workers.map(({ pid }) => `worker ${pid}: ${alive.has(pid) ? 'still the same' : 'ended'}`);
  warnings = lab.logLines(/MaxListenersExceededWarning|uncaughtException|unhandledRejection/);
} finally {
  await lab.purge();
}

const shown = rows();
const cell = (value?: { early: number; late: number; most: number }) =>
  value === undefined
    ? ''
    : `${Math.round(value.early)} → ${Math.round(value.late)} (${Math.round(value.most)})`;
printTable([
  ['second quarter → last (most)', 'age', 'MiB', 'files', 'threads', 'events', 'grows'],
  ...shown.map(({ what, lastedMs, values, grows }) => [
    ...[what, `${Math.round(lastedMs / 60_000)} min`, cell(values['memoryMiB']), cell(values['files'])],
    ...[cell(values['threads']), cell(values['events']), grows.join(', ') || '-'],
  ]),
]);
const failed = drills.filter(({ passed }) => !passed);
console.log(`${drills.length} drills, ${failed.length} failed: ${failed.map(({ name }) => name).join(', ')}`);
for (const line of [...survivors, ...warnings]) console.log(line);
writeResult('soak', { minutes, rows: shown, drills, survivors, warnings });
const lasted = Math.max(...[...processes.values()].map(({ samples }) => samples.at(-1)?.atMs ?? 0));
writeSoak(path.join('bench', 'results', 'soak.svg'), lasted, courses());
