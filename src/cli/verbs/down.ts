import { exitCodes, PerijoveError } from '../../errors/error.js';
import { scope } from '../../net/scope.js';
import type { TeardownInput, TeardownResult } from '../../temporal/contract.js';
import { answerOf } from '../answer.js';
import { defineCommand, type CommandContext } from '../command.js';
import { printJson, printNotice, printText } from '../io.js';
import { count } from '../progress-view.js';
import { fileArgument, fileOption, givenFile, openSpec } from '../spec-file.js';
import { temporalOptions, temporalSettings, withTemporal } from '../temporal.js';

export const downCommand = defineCommand({
  name: 'down',
  summary: 'stop the cluster',
  description:
    'Ends the keeper and the framework with its nodes, stops the services on all hosts and removes their ' +
    'definitions. First, a running deployment is cancelled, and the fault of a running drill is healed, for ' +
    'three minutes at most. Data, logs and secrets are kept, so that `perijove up` resumes; --purge removes ' +
    'them. Notebooks are kept in both cases, except on a GlusterFS volume that `up` created: --purge deletes it.',
  args: { file: fileArgument },
  options: {
    file: fileOption,
    purge: { flags: '--purge', description: 'also remove data, logs and secrets' },
    yes: { flags: '-y, --yes', description: 'with --purge: do not ask' },
    ...temporalOptions,
  },
  async run(context, { args, options }) {
    const { spec, absolute } = await openSpec(context, givenFile(args.file, options.file));
    if (options.purge && !options.yes) await confirmPurge(context, spec.name);
    const [{ startTeardown }, { ensureSearchAttributes }, { prepareRelease }] = await Promise.all([
      import('../teardown.js'),
      import('../../temporal/connect.js'),
      import('../versions.js'),
    ]);
    return withTemporal(temporalSettings(context, options, absolute), async (temporal) => {
      await ensureSearchAttributes(temporal.connection, temporal.namespace);
      const input: TeardownInput = { spec, purge: options.purge };
      const onWait = (text: string) => {
        if (!context.json) printNotice(context, `${text}\n`);
      };
      const preparing = scope(context.signal);
      await prepareRelease(temporal.client, { signal: preparing.signal, moves: spec.name, onWait });
      const result = await startTeardown(temporal.client, input, context.signal, onWait).finally(() =>
        preparing.abort(),
      );
      return result ? ended(context, result, options.purge) : detached(context, spec.name);
    });
  },
});

/**
 * Asks on a terminal; otherwise the option itself is the confirmation.
 *
 * @throws PerijoveError PURGE_NOT_CONFIRMED
 */
async function confirmPurge(context: CommandContext, cluster: string): Promise<void> {
  const { stdin, stdout, isTTY, json, signal } = context;
  if (json || !isTTY || stdin.isTTY !== true) return;
  stdout.write(`Remove all data, logs and secrets of ${cluster} from its hosts? Type its name: `);
  const answer = await answerOf(stdin, signal);
  if (answer?.trim() !== cluster) {
    throw new PerijoveError('PURGE_NOT_CONFIRMED', `${cluster} was not stopped, and nothing was removed`);
  }
}

function ended(context: CommandContext, { changes }: TeardownResult, purge: boolean): number {
  if (context.json) {
    printJson(context, { result: 'done', changed: changes.length, changes });
  } else {
    for (const { host, what } of changes) printText(context, `${host}: ${what}\n`);
    const what = changes.length === 0 ? 'nothing to stop' : `${count(changes.length, 'change')} made`;
    printText(context, `${context.colors.green('done')}: ${what}\n`);
    if (!purge) printText(context, 'Data and notebooks are kept. Resume with `perijove up`.\n');
  }
  return exitCodes.done;
}

function detached(context: CommandContext, cluster: string): number {
  if (context.json) printJson(context, { result: 'detached' });
  else printText(context, `The teardown continues as the workflow teardown:${cluster}.\n`);
  return exitCodes.done;
}
