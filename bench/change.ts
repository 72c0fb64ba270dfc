/**
 * Changes of the spec that replace nodes, both ways, under 100 requests per second through each host: the number of
 * failed requests, of moves that failed, and the time per node, compared to a change that only restarts them.
 *
 *     npm run bench:change -- [names of changes, all by default]
 */
import { BenchLab } from './lab.js';
import { Probe } from './probe.js';
import { printTable, seconds, writeResult } from './report.js';

interface ChangeOfSpec {
  readonly name: string;
  readonly section: string;
  readonly key: string;
  /** There and back. */
  readonly values: readonly [string, string];
}

const changes: readonly ChangeOfSpec[] = [
  // The plain restart that the others are compared to.
  { name: 'memory', section: 'nodes', key: 'memory', values: ['257MiB', '256MiB'] },
  { name: 'standby', section: 'jupyter', key: 'standby', values: ['cold', 'warm'] },
  { name: 'follow', section: 'jupyter', key: 'follow', values: ['sticky', 'leader'] },
  { name: 'reflexes', section: 'jupyter', key: 'reflexes', values: ['false', 'true'] },
  { name: 'election', section: 'etcd', key: 'election', values: ['600ms', '500ms'] },
];
const wanted = process.argv.slice(2);
const chosen = changes.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
const everyMs = 10;

interface Row {
  readonly label: string;
  readonly requests: number;
  readonly failed: number;
  readonly outcomes: string;
  readonly longestMs: number;
  readonly failedMoves: number;
  readonly replaced: number;
  readonly tookMs: number;
}

const lab = new BenchLab('127.93');
const rows: Row[] = [];

const tasks = async () => (await lab.status()).framework.tasks.map(({ taskId }) => taskId);

async function measure(label: string, change: ChangeOfSpec, value: string): Promise<Row> {
  const before = new Set(await tasks());
  const eventsSince = lab.watchEvents();
  const probes = (await lab.entrances()).map((entrance) => new Probe(entrance, everyMs, { keepAlive: true }));
  const begun = performance.now();
  await lab.set(change.section, { [change.key]: value });
  const tookMs = performance.now() - begun;
  await lab.ready();
  const samples = (await Promise.all(probes.map((probe) => probe.stop()))).flat();
  const failures = samples.map(({ outcome }) => outcome).filter((outcome) => outcome !== 200);
  const failedMoves = (await eventsSince()).filter((event) => event.includes('not moved'));
  return {
    ...{ label, requests: samples.length, failed: failures.length, tookMs },
    outcomes: [...new Set(failures)].join(', '),
    longestMs: Math.round(Math.max(0, ...samples.map((sample) => sample.ended - sample.begun))),
    failedMoves: failedMoves.length,
    replaced: (await tasks()).filter((taskId) => !before.has(taskId)).length,
  };
}

try {
  await lab.up();
  await lab.ready();
  for (const change of chosen) {
    for (const value of change.values) {
      const row = await measure(`${change.section}.${change.key}: ${value}`, change, value);
      rows.push(row);
      console.log(`${row.label}: ${row.failed} of ${row.requests} failed, in ${seconds(row.tookMs)}`);
    }
  }
} finally {
  await lab.purge();
}

printTable([
  ['', 'requests', 'failed', 'longest', 'failed moves', 'replaced', 'took', 'per node', 'failures'],
  ...rows.map((row) => [
    ...[row.label, String(row.requests), String(row.failed), `${row.longestMs} ms`],
    ...[String(row.failedMoves), String(row.replaced), seconds(row.tookMs)],
    ...[row.replaced === 0 ? '-' : seconds(row.tookMs / row.replaced), row.outcomes],
  ]),
]);
writeResult('change', { rows });
