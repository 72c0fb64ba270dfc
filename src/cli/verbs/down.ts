import { exitCodes, PerijoveError } from '../../errors/error.js';
import type { TeardownInput, TeardownResult } from '../../temporal/contract.js';
import { answerOf } from '../answer.js';
import { defineCommand, type CommandContext } from '../command.js';
import { printJson } from '../io.js';
import { count } from '../progress-view.js';
import { fileArgument, fileOption, givenFile, openSpec } from '../spec-file.js';
import { temporalOptions, temporalSettings, withTemporal } from '../temporal.js';

export const downCommand = defineCommand({
  name: 'down',
  summary: 'stop the cluster',
  description:
    'Ends the keeper and the framework with its nodes, stops the services of all hosts and removes ' +
    'their definitions. A deployment that runs is cancelled first. Data, logs and secrets stay, so ' +
    'that `up` resumes; with --purge nothing of it stays on the hosts. Notebooks stay, but those on a ' +
    'GlusterFS volume that `up` created: --purge deletes it.',
  args: { file: fileArgument },
  options: {
    file: fileOption,
    purge: { flags: '--purge', description: 'remove data, logs and secrets too' },
    yes: { flags: '-y, --yes', description: 'with --purge: do not ask' },
    ...temporalOptions,
  },
  async run(context, { args, options }) {
    const { spec, absolute } = await openSpec(context, givenFile(args.file, options.file));
    if (options.purge && !options.yes) await confirmPurge(context, spec.name);
    const [{ startTeardown }, { ensureSearchAttributes }] = await Promise.all([
      import('../teardown.js'),
      import('../../temporal/connect.js'),
    ]);
    return withTemporal(temporalSettings(context, options, absolute), async (temporal) => {
      await ensureSearchAttributes(temporal.connection, temporal.namespace);
      const input: TeardownInput = { spec, purge: options.purge };
      const result = await startTeardown(temporal.client, input, context.signal, (text) => {
        if (!context.json) context.stderr.write(`${text}\n`);
      });
      return result ? ended(context, result) : left(context, spec.name);
    });
  },
});

/**
 * Asks on a terminal; elsewhere the option itself is the confirmation.
 *
 * @throws PerijoveError PURGE_NOT_CONFIRMED
 */
async function confirmPurge(context: CommandContext, cluster: string): Promise<void> {
  const { stdin, stdout, isTTY, json, signal } = context;
  if (json || !isTTY || stdin.isTTY !== true) return;
  stdout.write(`Remove all data, logs and secrets of ${cluster} from its hosts? Type its name: `);
  const answer = await answerOf(stdin, signal);
  if (answer?.trim() !== cluster) {
    throw new PerijoveError('PURGE_NOT_CONFIRMED', `nothing of ${cluster} was stopped or removed`);
  }
}

function ended(context: CommandContext, { changes }: TeardownResult): number {
  if (context.json) {
    printJson(context, { result: 'done', changed: changes.length, changes });
  } else {
    for (const { host, what } of changes) context.stdout.write(`${host}: ${what}\n`);
    const what =
      changes.length === 0 ? 'there was nothing to stop' : `${count(changes.length, 'change')} made`;
    context.stdout.write(`${context.colors.green('done')}: ${what}\n`);
  }
  return exitCodes.done;
}

function left(context: CommandContext, cluster: string): number {
  if (context.json) printJson(context, { result: 'detached' });
  else context.stdout.write(`The teardown goes on, as the workflow teardown:${cluster}.\n`);
  return exitCodes.done;
}
