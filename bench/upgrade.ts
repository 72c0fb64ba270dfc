/**
 * An upgrade and the way back, under 100 requests per second through the hosts: a lab that an earlier release has
 * deployed is upgraded to this one, with a drill in the middle, then to a next one, and back. On the way back etcd is
 * opened first, since the earlier release speaks no TLS with it: it is one of before that. Prints the number of
 * failed requests and of non-determinism errors, and how often each node was replaced.
 *
 *     npm run bench:upgrade -- [commit of the earlier release]
 *
 * The earlier release is built from this repository's history. The next one is this one with one line more in each
 * program for hosts but the one that keeps the proxies' sockets: where that one changes, connections are refused for the
 * 0.2 s of its restart, as they are from and to a release without it.
 */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BenchLab } from './lab.js';
import { Probe, type Sample } from './probe.js';
import { printTable, writeResult } from './report.js';

/** One whose Mesos and ZooKeeper are open unless its spec says otherwise: this one closes them. */
const release = process.argv[2] ?? '590cff1';
/** Through each of three hosts. */
const everyMs = 30;
const calmMs = 10_000;

try {
  execFileSync('git', ['cat-file', '-e', `${release}^{commit}`], { stdio: 'ignore' });
} catch {
  console.log(
    `Skipped: this repository has no commit ${release} (a shallow clone?), so there is nothing to upgrade.`,
  );
  process.exit(0);
}

/** Builds the earlier release. */
function buildEarlier(directory: string): void {
  mkdirSync(directory);
  const archive = execFileSync('git', ['archive', release], { maxBuffer: 256 * 1024 * 1024 });
  execFileSync('tar', ['-x', '-C', directory], { input: archive });
  const { dependencies } = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  const isThere = Object.keys(dependencies).every((name) => existsSync(path.join('node_modules', name)));
  // Not by a symbolic link: the programs contain the paths of what they bundle, so all of them would differ.
  if (isThere) execFileSync('cp', ['-al', path.resolve('node_modules'), directory]);
  else execFileSync('npm', ['ci', '--ignore-scripts'], { cwd: directory, stdio: 'inherit' });
  execFileSync(process.execPath, ['scripts/build.js'], { cwd: directory, stdio: 'inherit' });
}

function makeNext(directory: string): void {
  for (const name of ['bin', 'dist', 'images', 'schema', 'package.json'])
    cpSync(name, path.join(directory, name), { recursive: true });
  symlinkSync(path.resolve('node_modules'), path.join(directory, 'node_modules'));
  const programs = path.join(directory, 'dist', 'programs');
  for (const name of readdirSync(programs)) {
    if (name !== 'perijove-proxy.mjs') appendFileSync(path.join(programs, name), '// The next release.\n');
  }
}

/** By node: its task, and those before it, the newest first. */
type Tasks = ReadonlyMap<string, readonly string[]>;

async function tasksOf(lab: BenchLab): Promise<Tasks> {
  const { framework } = await lab.status();
  return new Map(
    framework.tasks.map(({ node, taskId, past }) => [
      node,
      [...(taskId === null ? [] : [taskId]), ...past.map((task) => task.taskId)],
    ]),
  );
}

/** How many tasks a node has had since. */
function replacements(before: Tasks, after: Tasks): Record<string, number | 'unknown'> {
  return Object.fromEntries(
    [...after].map(([node, ids]) => {
      const index = ids.indexOf(before.get(node)?.[0] ?? '');
      return [node, index === -1 ? 'unknown' : index];
    }),
  );
}

interface Part {
  readonly label: string;
  readonly samples: readonly Sample[];
  readonly replaced: Record<string, number | 'unknown'>;
  readonly tookMs: number;
  /** What did not succeed. */
  readonly failure?: string;
}

const directory = mkdtempSync(path.join(tmpdir(), 'perijove-upgrade-'));
const earlier = path.join(directory, 'earlier');
const next = path.join(directory, 'next');
const lab = new BenchLab('127.92', earlier);
const logs: string[] = [];
const parts: Part[] = [];
let number = 0;

async function startWorker(root: string): Promise<number> {
  const log = lab.file(`worker-${(number += 1)}.log`);
  logs.push(log);
  lab.use(root);
  const pid = await lab.startWorker(log);
  lab.use('.');
  return pid;
}

/** Does something under load. */
async function part(label: string, work: () => Promise<void>): Promise<void> {
  const before = await tasksOf(lab);
  const probes = (await lab.entrances()).map((entrance) => new Probe(entrance, everyMs, { keepAlive: true }));
  const begun = performance.now();
  let failure: string | undefined;
  try {
    await work();
  } catch (error) {
    const { stdout = '', stderr = String(error) } = error as {
      readonly stdout?: string;
      readonly stderr?: string;
    };
    failure = stderr;
    console.log(`${label}: ${stdout}\n${stderr}`);
  }
  const samples = (await Promise.all(probes.map((probe) => probe.stop()))).flat();
  const replaced = replacements(before, await tasksOf(lab));
  parts.push({
    label,
    samples,
    replaced,
    tookMs: performance.now() - begun,
    ...(failure !== undefined && { failure }),
  });
  console.log(
    `${label}: done (${Math.round((performance.now() - begun) / 1_000)} s), ${JSON.stringify(replaced)}`,
  );
}

/** Of all workers, by their logs. */
function nonDeterminism(): number {
  return [...logs, ...lab.workerLogs()]
    .filter((file) => existsSync(file))
    .reduce(
      (sum, file) => sum + (readFileSync(file, 'utf8').match(/TMPRL1100|[Nn]on-?determinis/g)?.length ?? 0),
      0,
    );
}

let errors = NaN;
try {
  buildEarlier(earlier);
  makeNext(next);
  await lab.up();
  lab.use('.');
  const old = (await lab.labStatus()).workers.map(({ pid }) => pid);
  await lab.ready();
  const fresh: number[] = [];
  await part('nothing', () => delay(calmMs));
  await part('workers of both releases', async () => {
    fresh.push(await startWorker('.'), await startWorker('.'));
    await delay(calmMs);
  });
  await part('workers replaced in the middle of a drill', async () => {
    lab.use(earlier);
    const drill = lab.command('drill', 'run', 'master-kill');
    // Awaited below.
    drill.catch(() => undefined);
    lab.use('.');
    await delay(3_000);
    await lab.stopWorkers(old);
    console.log(await lab.command('promote'));
    console.log(await drill);
  });
  await part('up of this release', async () => {
    console.log(await lab.command('up'));
    await lab.ready();
  });
  await part('up again', async () => {
    console.log(await lab.command('up'));
  });
  const later: number[] = [];
  await part('workers and up of a next release', async () => {
    later.push(await startWorker(next), await startWorker(next));
    await lab.stopWorkers(fresh);
    lab.use(next);
    console.log(await lab.command('up'));
    lab.use('.');
    await lab.ready();
  });
  await part('etcd opened for the earlier release', async () => {
    lab.use(next);
    await lab.set('etcd', { security: 'open' });
    lab.use('.');
    await lab.ready();
    // That release does not know the key.
    lab.remove('etcd', 'security');
  });
  const again: number[] = [];
  await part('workers of the earlier release again', async () => {
    again.push(await startWorker(earlier), await startWorker(earlier));
    lab.use(earlier);
    console.log(await lab.command('promote'));
    lab.use('.');
    await lab.stopWorkers(later);
    await lab.ready();
  });
  await part('up of the earlier release', async () => {
    lab.use(earlier);
    console.log(await lab.command('up'));
    lab.use('.');
    await lab.ready();
  });
} finally {
  errors = nonDeterminism();
  if (process.env['PERIJOVE_BENCH_KEEP'] === undefined) {
    lab.use('.');
    await lab.purge();
    rmSync(directory, { recursive: true, force: true });
  }
}

const rows = parts.map(({ label, samples, replaced, tookMs, failure }) => {
  const failed = samples.filter(({ outcome }) => outcome !== 200);
  return {
    label: failure === undefined ? label : `${label} (FAILED)`,
    tookMs: Math.round(tookMs),
    requests: samples.length,
    failed: failed.length,
    outcomes: [...new Set(failed.map(({ outcome }) => outcome))],
    longestMs: Math.round(Math.max(0, ...samples.map(({ begun, ended }) => ended - begun))),
    replaced,
  };
});
printTable([
  ['', 'took', 'requests', 'failed', 'longest', 'replaced per node'],
  ...rows.map(({ label, tookMs, requests, failed, longestMs, replaced }) => [
    label,
    `${Math.round(tookMs / 1_000)} s`,
    String(requests),
    String(failed),
    `${longestMs} ms`,
    Object.values(replaced).join(' '),
  ]),
]);
console.log(`non-determinism errors: ${errors}`);
writeResult('upgrade', { release, nonDeterminismErrors: errors, rows });
