/**
 * From `kill -9` of everything on the node of etcd's leader to a 200 through every host: with the origin's
 * loops, and with Perijove with a cold Jupyter, a warm one, and a warm one while every worker is dead; and
 * how much of it was etcd's election. All in one lab and one run.
 *
 *     npm run bench:failover -- [kills of each kind, 10 by default]
 */
import { setTimeout as delay } from 'node:timers/promises';
import { createEtcdClient } from '../src/etcd/client.js';
import { BenchLab, type Entrance } from './lab.js';
import { Origin } from './origin.js';
import { Probe, servedAt } from './probe.js';
import { printTable, seconds, summary, writeBars, writeResult } from './report.js';

const kills = Number(process.argv[2] ?? 10);
// Waiting requests are answered together once there is a leader: more of them would be a load of their own.
const probeEveryMs = 100;
const giveUpMs = 120_000;

interface Failover {
  /** Until a member reported that it leads, at a higher term. */
  readonly electionMs: number;
  /** Until the last host served. */
  readonly servedMs: number;
  readonly failedRequests: number;
}

interface Strike {
  /** Preparation, not counted. */
  readonly before?: () => Promise<void>;
  /** Returns once all are killed. */
  readonly kill: (leader: string) => void;
}

/** Resolves when another member leads. */
async function elected(members: readonly string[], since: number, term: number): Promise<number> {
  const clients = members.map((host) => createEtcdClient({ host, port: 2379 }, { deadlineMs: 200 }));
  try {
    for (;;) {
      const answers = await Promise.all(clients.map((client) => client.status().catch(() => undefined)));
      const leader = answers.find(
        (status) => status?.leader === status?.memberId && (status?.term ?? 0) > term,
      );
      if (leader) return performance.now() - since;
      await delay(5);
    }
  } finally {
    for (const client of clients) client.close();
  }
}

async function failover(
  lab: BenchLab,
  entrances: readonly Entrance[],
  { before = () => Promise.resolve(), kill }: Strike,
): Promise<Failover> {
  const { etcd } = await lab.ready();
  const { leader, term } = etcd;
  if (leader === null || term === null) throw new Error('etcd has no leader');
  const others = (await lab.addresses()).filter(({ node }) => node !== leader);
  const probes = entrances.map((entrance) => new Probe(entrance, probeEveryMs));
  try {
    for (const probe of probes) await untilServed(probe, 0);
    // At any point of the loops' five seconds.
    await delay(Math.random() * 5_000);
    await before();
    kill(leader);
    const killedAt = performance.now();
    const election = elected(
      others.map(({ address }) => address),
      killedAt,
      term,
    );
    const served = await Promise.all(probes.map((probe) => untilServed(probe, killedAt)));
    const electionMs = await election;
    const samples = (await Promise.all(probes.map((probe) => probe.stop()))).flat();
    return {
      electionMs,
      servedMs: Math.max(...served) - killedAt,
      failedRequests: samples.filter(({ outcome }) => outcome !== 200).length,
    };
  } finally {
    await Promise.all(probes.map((probe) => probe.stop()));
  }
}

async function untilServed(probe: Probe, since: number): Promise<number> {
  const until = performance.now() + giveUpMs;
  for (;;) {
    const at = servedAt(probe.samples, since);
    if (at !== undefined) return at;
    if (performance.now() > until) throw new Error(`nothing through ${probe.host} within ${giveUpMs} ms`);
    await delay(100);
  }
}

const lab = new BenchLab('127.90');
const results = new Map<string, Failover[]>();

async function series(name: string, one: () => Promise<Failover>): Promise<void> {
  const all: Failover[] = [];
  results.set(name, all);
  for (let count = 1; count <= kills; count++) {
    const result = await one();
    all.push(result);
    console.log(
      `${name} ${count}/${kills}: ${seconds(result.servedMs)}, election ${seconds(result.electionMs)}, ${result.failedRequests} requests failed`,
    );
  }
}

try {
  await lab.up();
  const entrances = await lab.entrances();
  const kill = (node: string) => lab.killNode(node);

  await series('warm', () => failover(lab, entrances, { kill }));
  await series('warm, no worker', async () => {
    const result = await failover(lab, entrances, { before: () => lab.killWorkers(), kill });
    await lab.up();
    return result;
  });

  await lab.configure({ standby: 'cold' });
  await series('cold', () => failover(lab, entrances, { kill }));

  const { jupyter } = await lab.spec();
  const origin = new Origin(await lab.addresses(), entrances, jupyter.executable);
  try {
    await series("the origin's loops", async () => {
      for (const { node } of await lab.addresses()) origin.startNode(node);
      return failover(lab, origin.entrances, {
        kill: (node) => {
          lab.killNode(node);
          origin.killNode(node);
        },
      });
    });
  } finally {
    await origin.end();
  }
} finally {
  await lab.purge();
}

const rows = [...results].map(([label, all]) => ({
  label,
  value: summary(all.map(({ servedMs }) => servedMs)),
  election: summary(all.map(({ electionMs }) => electionMs)),
  failed: all.reduce((sum, { failedRequests }) => sum + failedRequests, 0),
}));
const baseline = rows.at(-1)?.value.median ?? NaN;
printTable([
  ['', 'min', 'median', 'max', 'election', 'of the origin', 'failed requests'],
  ...rows.map(({ label, value, election, failed }) => [
    label,
    seconds(value.min),
    seconds(value.median),
    seconds(value.max),
    seconds(election.median),
    `1/${(baseline / value.median).toFixed(1)}`,
    String(failed),
  ]),
]);
writeResult('failover', { kills, rows });
writeBars(
  'docs/images/failover.svg',
  "From the death of the leader's node to an answer through every host",
  rows.toReversed(),
);
