/**
 * Installations on bare servers under the load of endless loops: what has changed on each server afterwards,
 * and after `down --purge`. One row of Markdown for each.
 *
 *     npm run bench:bare -- [installations, 10 by default] [loops on each server, 7 by default]
 */
import { loadavg } from 'node:os';
import { findCompose, ComposeProject } from '../test/support/compose-project.js';
import { describeDifferences, unlisted, unseen, type Phase } from '../test/support/footprint.js';
import { compare, type Difference, type Snapshot } from '../test/support/snapshot.js';
import { loadSpec } from '../src/cluster/load.js';
import { summary, writeResult } from './report.js';

const count = Number(process.argv[2] ?? 10);
const loops = Number(process.argv[3] ?? 7);
const sampleMs = 2_000;

const compose = findCompose();
if ('missing' in compose) throw new Error(`no servers in containers: ${compose.missing}`);
const { hosts } = await loadSpec('examples/compose.yaml');
const cluster = new ComposeProject(compose.command, {
  project: 'perijove-bench',
  uiPort: 18_234,
  hostTarget: 'bare',
});

interface Observed {
  readonly logins: number;
  readonly differences: Readonly<Record<string, readonly Difference[]>>;
}

async function observe(before: ReadonlyMap<string, Snapshot>): Promise<Observed> {
  let logins = 0;
  const differences: Record<string, readonly Difference[]> = {};
  for (const { name, address } of hosts) {
    if (await cluster.login(address)) logins += 1;
    differences[name] = compare(before.get(name) ?? new Map(), await cluster.snapshot(name));
  }
  return { logins, differences };
}

/** Units that were enabled before and are not anymore. */
const disabled = (differences: readonly Difference[]) =>
  differences.filter(
    ({ entry, before }) => entry.startsWith('unit: ') && before?.startsWith('enabled') === true,
  );

const timers = (differences: readonly Difference[]) =>
  differences.filter(({ entry, change }) => /^(unit|active): \S+\.timer$/.test(entry) && change !== 'added');

async function installation() {
  await cluster.up();
  const before = new Map<string, Snapshot>();
  for (const { name } of hosts) {
    await cluster.settle(name);
    before.set(name, await cluster.snapshot(name));
    await cluster.loop(name, loops);
  }
  const loads: number[] = [];
  const sampling = setInterval(() => loads.push(loadavg()[0] ?? 0), sampleMs);
  const begun = performance.now();
  const up = await cluster.try('up', 'examples/compose.yaml').finally(() => clearInterval(sampling));
  const upMs = performance.now() - begun;
  const installed = await observe(before);
  const down = await cluster.try('down', '--purge', '--yes', 'examples/compose.yaml');
  const purged = await observe(before);
  return { up, upMs, load: summary(loads), installed, down, purged };
}

function strays(phase: Phase, { differences }: Observed): string[] {
  return Object.entries(differences).flatMap(([host, each]) =>
    describeDifferences(unlisted(phase, each)).map((line) => `${host} ${phase}: ${line}`),
  );
}

const all = ({ differences }: Observed) => Object.values(differences).flat();
const results: object[] = [];
const stop = (signal: NodeJS.Signals) => {
  console.error(`ended by ${signal}`);
  void cluster.down().finally(() => process.exit(130));
};
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);

console.log(
  '| run | `up` | exit codes of `up`, `down --purge` | load, median and highest | enabled before, not now | new SSH logins after each | timers as before | differences that are not in the list |',
);
console.log('| --- | --- | --- | --- | --- | --- | --- | --- |');
for (let run = 1; run <= count; run += 1) {
  try {
    const { up, upMs, load, installed, down, purged } = await installation();
    const differences = [...all(installed), ...all(purged)];
    const strange = [...strays('up', installed), ...strays('purged', purged)];
    const lost = disabled(differences).length;
    const cells = [
      String(run),
      `${Math.round(upMs / 1_000)} s`,
      `${up.code}, ${down.code}`,
      `${load.median.toFixed(1)}, ${load.max.toFixed(1)}`,
      String(lost),
      `${installed.logins} and ${purged.logins} of ${hosts.length}`,
      timers(differences).length === 0 ? 'yes' : 'no',
      String(strange.length),
    ];
    console.log(`| ${cells.join(' | ')} |`);
    for (const { code, stderr } of [up, down]) if (code !== 0) console.error(stderr);
    for (const line of strange) console.error(line);
    if (up.code === 0 && down.code === 0)
      for (const pattern of [...unseen('up', all(installed)), ...unseen('purged', all(purged))])
        console.error(`in the list, and not seen: ${pattern}`);
    results.push({ cells, load, upMs, stdout: up.stdout, strange, installed, purged });
  } finally {
    await cluster.down();
  }
}
writeResult('bare', { count, loops, results });
