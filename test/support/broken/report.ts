import { appendFileSync } from 'node:fs';
import { expect } from 'vitest';
import { runBroken, type Runs, type Scenario, type World } from './runs.js';

/** Per scenario, unless PERIJOVE_BREAKS is set. All of them (PERIJOVE_BREAKS=9999) take half an hour. */
const mostBreaks = Number(process.env['PERIJOVE_BREAKS'] ?? 4);

/** Expects that a scenario does no harm; logs notable results to the file PERIJOVE_BROKEN_REPORT. */
export async function expectNoHarm(world: World, name: string, scenario: Scenario): Promise<void> {
  const began = performance.now();
  const report = process.env['PERIJOVE_BROKEN_REPORT'];
  const write = (line: string) => {
    if (report !== undefined) appendFileSync(report, `${line}\n`);
  };
  const runs = await runBroken(world, scenario, { most: mostBreaks, report: write });
  write(reportOf(name, runs, performance.now() - began));
  expect(runs.breaks, 'nothing of it looks').toBeGreaterThan(0);
  expect(runs.faults).toEqual([]);
}

function reportOf(name: string, runs: Runs, tookMs: number): string {
  const ends = Object.entries(runs.ends).map(([end, count]) => `${end} ${count}`);
  return [
    `${name}: ${runs.breaks} of ${runs.possible} breaks in ${(tookMs / 1_000).toFixed(1)} s, ${runs.notReached} not reached; ${ends.join(', ')}`,
    ...runs.silent.map((each) => `  silent: ${each}`),
    ...runs.lingering.map((each) => `  lingering: ${each}`),
    ...runs.faults.map((each) => `  FAULT: ${each}`),
  ].join('\n');
}
