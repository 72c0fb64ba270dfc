/**
 * Ten planned moves under 100 requests per second through each host, over keep-alive connections like
 * browsers': the number of failed requests and the longest one, compared to the longest of as many requests
 * without a move.
 *
 *     npm run bench:move -- [moves, 10 by default]
 */
import { setTimeout as delay } from 'node:timers/promises';
import { BenchLab } from './lab.js';
import { Probe, type Sample } from './probe.js';
import { printTable, writeResult } from './report.js';

const moves = Number(process.argv[2] ?? 10);
const everyMs = 10;
const calmMs = 10_000;

const lab = new BenchLab('127.91');
const made: { readonly way: string; readonly begun: number; readonly tookMs: number }[] = [];
let calm: Sample[];
let moving: Sample[];
try {
  await lab.up();
  const entrances = await lab.entrances();
  const begin = () => entrances.map((entrance) => new Probe(entrance, everyMs, { keepAlive: true }));
  const stop = async (probes: readonly Probe[]) =>
    (await Promise.all(probes.map((each) => each.stop()))).flat();

  await lab.ready();
  const before = begin();
  await delay(calmMs);
  calm = await stop(before);

  const during = begin();
  const names = (await lab.addresses()).map(({ node }) => node);
  for (let count = 0; count < moves; count++) {
    const { jupyter } = await lab.status();
    const others = names.filter((node) => node !== jupyter.node);
    const to = others[count % others.length] ?? '';
    const begun = performance.now();
    await lab.move(to);
    made.push({ way: `${jupyter.node} → ${to}`, begun, tookMs: performance.now() - begun });
    console.log(`move ${count + 1}/${moves}: ${made.at(-1)?.way}`);
  }
  moving = await stop(during);
} finally {
  await lab.purge();
}

const row = (label: string, samples: readonly Sample[], took = '') => {
  const failures = samples.map(({ outcome }) => outcome).filter((outcome) => outcome !== 200);
  const longest = Math.max(0, ...samples.map(({ begun, ended }) => ended - begun));
  return {
    ...{ label, requests: samples.length, failed: failures.length, longestMs: Math.round(longest), took },
    outcomes: [...new Set(failures)].join(', '),
  };
};
const rows = [
  row('without a move', calm),
  row(`${moves} planned moves`, moving),
  ...made.map(({ way, begun, tookMs }, index) => {
    const end = made[index + 1]?.begun ?? Infinity;
    const during = moving.filter((sample) => sample.begun < end && sample.ended >= begun);
    return row(way, during, `${Math.round(tookMs)} ms`);
  }),
];
printTable([
  ['', 'requests', 'failed', 'longest', 'move took', 'failures'],
  ...rows.map(({ label, requests, failed, longestMs, took, outcomes }) => [
    ...[label, String(requests), String(failed), `${longestMs} ms`, took, outcomes],
  ]),
]);
writeResult('move', { moves, rows });
