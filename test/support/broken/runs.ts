/** Runs a scenario once for each way to break each of its read-only calls, and reports what went wrong. */
import { messageOf, PerijoveError } from '../../../src/errors/error.js';
import type { SshPool } from '../../../src/ssh/connection.js';
import { eventually } from '../eventually.js';
import { breaksOf, poolEndedBy, spread, type Break, type BrokenCommands, type Place } from './commands.js';

/** An action of Perijove on a host through scripts. */
export interface Scenario {
  /** Creates the initial state; removes what an earlier run left. */
  readonly prepare: () => Promise<void>;
  readonly act: (pool: SshPool, signal: AbortSignal) => Promise<unknown>;
  /** If it succeeds, it must have been done: others rely on something being removed. */
  readonly claims?: boolean;
  /** Prints the resulting state; an unbroken run defines the right one. */
  readonly state: () => Promise<string>;
}

export interface World {
  readonly place: Place;
  readonly commands: BrokenCommands;
  readonly pool: SshPool;
  /** Prints everything that exists and is not the cluster's. */
  readonly foreign: () => Promise<string>;
}

/** Results of the runs of one scenario. */
export interface Runs {
  readonly breaks: number;
  /** Number of all possible breaks. */
  readonly possible: number;
  /** Breaks whose call was not made: the order of calls varies between runs. */
  readonly notReached: number;
  /** Number of runs by result: `done`, or an error code. */
  readonly ends: Readonly<Record<string, number>>;
  /** Breaks of runs that reported success without the right state. */
  readonly silent: readonly string[];
  /** Breaks of runs that left processes which did not end within seconds. */
  readonly lingering: readonly string[];
  /** Breaks of runs with forbidden results. */
  readonly faults: readonly string[];
}

/** A process of a session that ended gets SIGTERM at once and SIGKILL after five seconds. */
const endMs = 8_000;

export async function runBroken(
  world: World,
  scenario: Scenario,
  options: { readonly most: number; readonly report: (line: string) => void },
): Promise<Runs> {
  const { commands, pool, foreign } = world;
  await commands.disarm();
  await scenario.prepare();
  await scenario.act(pool, new AbortController().signal);
  const right = await scenario.state();
  await scenario.prepare();
  const before = await scenario.state();
  const calls = await commands.record(() => scenario.act(pool, new AbortController().signal));
  const all = breaksOf(calls);
  const breaks = spread(all, options.most);
  const runs = { notReached: 0, ends: {} as Record<string, number> };
  const silent: string[] = [];
  const lingering: string[] = [];
  const faults: string[] = [];
  if ((await scenario.state()) !== right) faults.push('two whole runs lead to different states');

  for (const each of breaks) {
    const name = nameOf(each);
    const began = performance.now();
    await scenario.prepare();
    const stood = await foreign();
    await commands.break(each);
    const end = await commands.whileNothingHangs((signal) =>
      endOf(scenario, poolEndedBy(pool, signal), signal),
    );
    const reached = await commands.reached();
    runs.notReached += reached ? 0 : 1;
    runs.ends[end.kind] = (runs.ends[end.kind] ?? 0) + 1;
    if (end.kind === 'bug') faults.push(`${name}: ended with ${end.why}`);
    const left = await untilNoneLeft(commands);
    if (left.length > 0) {
      lingering.push(`${name}: ${left.join('; ')}`);
      await commands.endHanging();
      await eventually('the rest of it ends', async () => (await commands.left()).length === 0);
    }
    await commands.disarm();
    const stands = await foreign();
    if (stands !== stood) faults.push(`${name}: did harm: ${difference(stood, stands)}`);
    const reachedState = await scenario.state();
    if (end.kind === 'done' && reachedState !== right && before !== right) {
      const what = `${name}: ${difference(right, reachedState)}`;
      if (scenario.claims === true) faults.push(`ended as if all were done: ${what}`);
      else silent.push(what);
    }
    try {
      await scenario.act(pool, new AbortController().signal);
      const state = await scenario.state();
      if (state !== right) faults.push(`${name}: not put right afterwards: ${difference(right, state)}`);
    } catch (error) {
      faults.push(`${name}: does not work afterwards: ${messageOf(error)}`);
    }
    options.report(`${name}: ${end.kind} (${Math.round(performance.now() - began)} ms)`);
  }
  return { breaks: breaks.length, possible: all.length, ...runs, silent, lingering, faults };
}

async function endOf(
  scenario: Scenario,
  pool: SshPool,
  signal: AbortSignal,
): Promise<{ readonly kind: string; readonly why?: string }> {
  try {
    await scenario.act(pool, signal);
    return { kind: 'done' };
  } catch (error) {
    return error instanceof PerijoveError
      ? { kind: error.code }
      : { kind: 'bug', why: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

async function untilNoneLeft(commands: BrokenCommands): Promise<string[]> {
  let left: string[] = [];
  await eventually(async () => (left = await commands.left()).length === 0, endMs).catch(() => undefined);
  return left;
}

function nameOf({ command, number, words, way }: Break): string {
  return `call ${number} of \`${command} ${words.replaceAll('\n', ' ').slice(0, 90)}\` ${way}`;
}

/** Lines in only one of the texts. */
function difference(before: string, after: string): string {
  const [old, now] = [before.split('\n'), after.split('\n')];
  return [
    ...old.filter((line) => !now.includes(line)).map((line) => `- ${line}`),
    ...now.filter((line) => !old.includes(line)).map((line) => `+ ${line}`),
  ]
    .slice(0, 6)
    .join(' ');
}
