import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { Client } from '@temporalio/client';
import { budgetOf, refusalOf } from '../../drill/definition.js';
import { catalogue, findDrill, type Drill } from '../../drill/faults/index.js';
import type { Evidence } from '../../drill/evidence.js';
import { randomSeries } from '../../drill/series.js';
import { evidenceSvg } from '../../drill/svg.js';
import { checkTarget } from '../../drill/target.js';
import { evidenceText, headline, offset } from '../../drill/text.js';
import { exitCodes, messageOf, PerijoveError } from '../../errors/error.js';
import type { ClusterSpec } from '../../cluster/spec.js';
import { durationMs, durationPattern, formatDuration } from '../../cluster/units.js';
import type { DrillInput } from '../../temporal/contract.js';
import { choices } from '../../cluster/nearest.js';
import { defineCommand, defineGroup, type CommandContext } from '../command.js';
import { printJson, printNotice, printText, textColumns } from '../io.js';
import { reportOf } from '../report.js';
import { fileOption, openSpec } from '../spec-file.js';
import { hanging, table } from '../table.js';
import { labOf, temporalOptions, temporalSettings, withTemporal } from '../temporal.js';

const listCommand = defineCommand({
  name: 'list',
  summary: 'list the drills',
  options: { file: fileOption },
  async run(context, { options }) {
    const { spec, absolute } = await openSpec(context, options.file);
    const inLab = labOf(absolute) !== undefined;
    const drills = catalogue.map((definition) => {
      const { name, what, target } = definition;
      const refusal = refusalOf(definition, spec, inLab);
      return {
        name,
        what,
        target,
        budgetMs: budgetOf(definition, spec),
        possible: refusal === undefined,
        ...(refusal !== undefined && { reason: refusal }),
      };
    });
    if (context.json) printJson(context, drills);
    else {
      const { colors } = context;
      const rows = drills.map(({ name, what, budgetMs, possible, reason }) => [
        possible ? colors.bold(name) : colors.dim(name),
        formatDuration(budgetMs),
        possible ? what : colors.dim(`${what}; not possible here: ${reason ?? ''}`),
      ]);
      const head = ['drill', 'budget', 'fault'].map((name) => colors.dim(name));
      context.stdout.write(`${table([head, ...rows], textColumns(context)).join('\n')}\n`);
    }
    return exitCodes.done;
  },
});

const runCommand = defineCommand({
  name: 'run',
  summary: 'inject a fault, measure the recovery, and heal it',
  description:
    'A drill starts only while the cluster is healthy, and only one runs at a time. The fault is always ' +
    'healed: with or without a recovery, after Ctrl-C, and after the death of the worker that injected it. ' +
    '`random` is a series that its seed determines; it stops at the first violated invariant. The exit code ' +
    'is 1 when a drill exceeds its budget or violates an invariant.',
  args: {
    name: {
      description: 'a drill of `perijove drill list`, or random',
      optional: true,
      choices: [...catalogue.map(({ name }) => name), 'random'],
    },
  },
  options: {
    file: fileOption,
    all: { flags: '--all', description: 'run every drill that is possible here, one after the other' },
    target: {
      flags: '--target <name>',
      description: 'node or host; for a worker drill: scheduler or keeper',
    },
    budget: { flags: '--budget <duration>', description: "budget in place of the drill's own, such as 2s" },
    count: { flags: '--count <number>', description: 'number of drills in a random series (default: 10)' },
    seed: {
      flags: '--seed <text>',
      description: 'seed of a random series (default: a new one, which is printed)',
    },
    ...temporalOptions,
  },
  // It heals what it did.
  onInterrupt: 'orderly',
  examples: [
    ['perijove drill run node-kill', "the leader's node"],
    ['perijove drill run proxy-kill --target h2', 'the proxy of one host'],
    ['perijove drill run random --count 20 --seed 7', 'the same 20 every time'],
  ],
  async run(context, { args, options }) {
    const { spec, absolute } = await openSpec(context, options.file);
    const budgetMs = budgetGiven(options.budget);
    const inLab = labOf(absolute) !== undefined;
    const possible = catalogue.filter((each) => refusalOf(each, spec, inLab) === undefined);
    const temporal = temporalSettings(context, options, absolute);
    const given = { spec, ...(budgetMs !== undefined && { budgetMs }) };

    if (args.name !== undefined && options.all) throw usage('give a name or --all, not both');
    if (args.name !== 'random' && (options.count ?? options.seed) !== undefined) {
      throw usage('--count and --seed apply to `random` only');
    }
    if (options.all || args.name === 'random') {
      if (options.target !== undefined) throw usage('--target applies to a single drill only');
      const seed = options.seed ?? randomBytes(4).toString('hex');
      const steps = options.all
        ? possible.map(({ name }) => ({ drill: name }))
        : randomSeries(possible, countGiven(options.count), seed).map((step) => ({ ...step, seed }));
      return withTemporal(temporal, ({ client }) =>
        runSeries(
          context,
          client,
          steps.map((step) => ({ ...given, ...step })),
          options.all ? undefined : seed,
        ),
      );
    }
    const definition = wanted(args.name, spec, inLab, options.target);
    const input = {
      ...given,
      drill: definition.name,
      ...(options.target !== undefined && { target: options.target }),
    };
    return withTemporal(temporal, async ({ client }) => {
      const evidence = await runOne(context, client, input);
      if (context.json) printJson(context, evidence);
      else printText(context, `\n${evidenceText(evidence)}`);
      return evidence.verdict.passed ? exitCodes.done : exitCodes.failed;
    });
  },
});

function usage(message: string): PerijoveError {
  return new PerijoveError('USAGE', message);
}

/** @throws PerijoveError DRILL_UNKNOWN, DRILL_NOT_POSSIBLE, UNKNOWN_TARGET, USAGE */
function wanted(
  name: string | undefined,
  spec: ClusterSpec,
  inLab: boolean,
  target: string | undefined,
): Drill {
  if (name === undefined) throw usage('missing drill: name one, or give `random` or --all');
  const definition = findDrill(name);
  if (!definition) {
    throw new PerijoveError('DRILL_UNKNOWN', `unknown drill \`${name}\``, {
      remedy: choices(name, [...catalogue.map((each) => each.name), 'random']),
    });
  }
  const refusal = refusalOf(definition, spec, inLab);
  if (refusal !== undefined) throw new PerijoveError('DRILL_NOT_POSSIBLE', `${name}: ${refusal}`);
  if (target !== undefined) checkTarget(definition, spec, target);
  return definition;
}

function budgetGiven(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!durationPattern.test(text))
    throw usage(`--budget must be a duration such as 2s or 500ms, not \`${text}\``);
  return durationMs(text);
}

const defaultCount = 10;
const mostInSeries = 1_000;

function numberGiven(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw usage(`invalid drill number: ${text}`);
}

function countGiven(text: string | undefined): number {
  const count = text === undefined ? defaultCount : Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= mostInSeries) return count;
  throw usage(`--count must be a number from 1 to ${mostInSeries}, not \`${text}\``);
}

/** Runs one drill to its end and shows its events. */
async function runOne(
  context: CommandContext,
  client: Client,
  input: Omit<DrillInput, 'number'>,
): Promise<Evidence> {
  const { followDrill, startDrill } = await import('../drill-run.js');
  const report = (line: string) => {
    if (!context.json) printText(context, `${line}\n`);
  };
  const handle = await startDrill(client, input);
  report(`${handle.workflowId}: ${input.drill}`);
  try {
    return await followDrill(
      client,
      handle,
      {
        onState: ({ phase, target }) => {
          if (phase === 'observing') report(`  the cluster is healthy; the target is ${target ?? ''}`);
          if (phase === 'healing') report('  healing the fault, then waiting until the cluster is healthy');
        },
        onEvent: ({ at, what }) => {
          for (const line of hanging(`  ${offset(at).padStart(9)}  `, what, textColumns(context)))
            report(line);
        },
        onWait: (why) => printNotice(context, `${why}\n`),
      },
      context.signal,
    );
  } catch (error) {
    if (!context.signal.aborted) throw error;
    throw new PerijoveError('CANCELLED', 'the drill was cancelled, and its fault is healed', {
      remedy: 'Run it again.',
      cause: error,
    });
  }
}

/** In a series, how long the cluster may take to become healthy before the next drill. */
const waitMs = 180_000;
/** In a series, a drill rejected for one of these reasons is skipped. */
const skipReasons = new Set(['DRILL_UNSAFE', 'DRILL_NOT_POSSIBLE']);

async function runSeries(
  context: CommandContext,
  client: Client,
  steps: readonly Omit<DrillInput, 'number'>[],
  seed: string | undefined,
): Promise<number> {
  const { colors, json } = context;
  const drills: Evidence[] = [];
  const leftOut: { readonly drill: string; readonly reason: string }[] = [];
  const report = (line: string) => {
    if (!json) printText(context, `${line}\n`);
  };
  if (seed !== undefined) report(`seed ${seed}, ${steps.length} drills`);
  let broken: Evidence | undefined;
  let thrown: Error | undefined;
  for (const [index, step] of steps.entries()) {
    try {
      const evidence = await runOne(context, client, index === 0 ? step : { ...step, waitMs });
      drills.push(evidence);
      const mark = evidence.verdict.passed ? colors.green('✔') : colors.red('✖');
      report(`${mark} ${index + 1}/${steps.length} ${headline(evidence)}`);
      for (const reason of evidence.verdict.reasons) report(`    ${reason}`);
      if (evidence.invariants.every(({ holds }) => holds !== false)) continue;
      broken = evidence;
      break;
    } catch (error) {
      const { code, message } = reportOf(error);
      if (!skipReasons.has(code)) {
        thrown = error instanceof Error ? error : new Error(messageOf(error));
        break;
      }
      leftOut.push({ drill: step.drill, reason: message });
      report(`- ${index + 1}/${steps.length} ${step.drill}: skipped, ${message}`);
    }
  }
  const failed = drills.filter(({ verdict }) => !verdict.passed).length;
  const passed = failed === 0 && thrown === undefined;
  if (json) {
    const error =
      thrown === undefined ? {} : { error: { code: reportOf(thrown).code, message: messageOf(thrown) } };
    printJson(context, { ...(seed !== undefined && { seed }), passed, leftOut, drills, ...error });
    return thrown === undefined ? (passed ? exitCodes.done : exitCodes.failed) : reportOf(thrown).exitCode;
  }
  if (broken) report(`\n${evidenceText(broken)}`);
  const skips = leftOut.length > 0 ? `, ${leftOut.length} skipped` : '';
  report(`${drills.length} of ${steps.length} drills run, ${failed} failed${skips}`);
  if (thrown !== undefined) throw thrown;
  return passed ? exitCodes.done : exitCodes.failed;
}

const reportCommand = defineCommand({
  name: 'report',
  summary: 'print the evidence of a drill',
  description: 'Prints the newest drill unless a number is given. It needs no worker.',
  args: { number: { description: 'number of the drill', optional: true } },
  options: {
    file: fileOption,
    svg: { flags: '--svg <path>', description: 'write the timeline as an SVG picture' },
    ...temporalOptions,
  },
  async run(context, { args, options }) {
    const { spec, absolute } = await openSpec(context, options.file);
    const given = args.number === undefined ? undefined : numberGiven(args.number);
    return withTemporal(temporalSettings(context, options, absolute), async ({ client }) => {
      const { newestDrill, readDrill } = await import('../drill-run.js');
      const number = given ?? (await newestDrill(client, spec.name));
      if (number === 0) throw new PerijoveError('DRILL_UNKNOWN', `${spec.name} has not been drilled yet`);
      const { state, evidence, ended } = await readDrill(client, spec.name, number);
      if (options.svg !== undefined) {
        if (!evidence) throw new PerijoveError('DRILL_UNKNOWN', `drill ${number} left no evidence`);
        writePicture(options.svg, evidenceSvg(evidence));
      }
      if (context.json) printJson(context, evidence ?? { state: state ?? null });
      else if (evidence) printText(context, evidenceText(evidence));
      else {
        const what = state
          ? `${state.drill} on ${state.target ?? 'no target yet'}: ${state.phase}`
          : 'waiting';
        const how = state?.failure ? `\n  ${state.failure.message} (${state.failure.code})` : '';
        const unhealed = state?.unhealed === true ? `\n  not healed ${ended ? '' : 'yet'}` : '';
        printText(context, `drill ${number}: ${what}${how}${unhealed.trimEnd()}\n`);
      }
      return exitCodes.done;
    });
  },
});

/** @throws PerijoveError USAGE */
function writePicture(file: string, picture: string): void {
  try {
    writeFileSync(file, picture);
  } catch (error) {
    throw new PerijoveError('USAGE', `cannot write ${file}: ${messageOf(error)}`, {
      file,
      remedy: 'Name another file with --svg.',
      cause: error,
    });
  }
}

export const drillCommand = defineGroup({
  name: 'drill',
  summary: 'inject a fault and measure how the cluster recovers',
  description:
    'A drill injects one fault, probes every host as a user would, heals the fault, and leaves evidence: a ' +
    'timeline, a verdict against its budget, and a list of invariants that hold or are violated.',
  commands: [listCommand, runCommand, reportCommand],
});
