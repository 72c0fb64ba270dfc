import { exitCodes } from '../../errors/error.js';
import { pauseKeeper, resumeKeeper, type PauseInput } from '../../temporal/contract.js';
import { defineCommand, type CommandContext } from '../command.js';
import { printJson, printText } from '../io.js';
import { order, withKeeper, type Keeper } from '../keeper.js';
import { fileOption } from '../spec-file.js';
import { temporalOptions, type TemporalChoice } from '../temporal.js';

export const pauseCommand = defineCommand({
  name: 'pause',
  summary: 'suspend automatic moves and repairs, for maintenance',
  description:
    'Jupyter, the routes and the hosts files stay as they are until `perijove resume`. Nodes and proxies ' +
    'with reflexes still fail over automatically.',
  options: {
    file: fileOption,
    reason: { flags: '--reason <text>', description: 'shown by `perijove status` while paused' },
    ...temporalOptions,
  },
  examples: [['perijove pause --reason "new disks in h2"', 'until `perijove resume`']],
  async run(context, { options }) {
    const { reason } = options;
    const args: [PauseInput] = [reason === undefined ? {} : { reason }];
    return orderKeeper(
      context,
      options,
      ({ handle }, updateId) => handle.executeUpdate(pauseKeeper, { args, updateId }),
      ['is paused', 'was already paused'],
    );
  },
});

export const resumeCommand = defineCommand({
  name: 'resume',
  summary: 'resume automatic moves and repairs',
  options: { file: fileOption, ...temporalOptions },
  run: (context, { options }) =>
    orderKeeper(
      context,
      options,
      ({ handle }, updateId) => handle.executeUpdate(resumeKeeper, { updateId }),
      ['is resumed', 'was not paused'],
    ),
});

async function orderKeeper(
  context: CommandContext,
  options: TemporalChoice & { readonly file: string | undefined },
  ask: (keeper: Keeper, updateId: string) => Promise<{ readonly changed: boolean }>,
  [changed, unchanged]: readonly [string, string],
): Promise<number> {
  return withKeeper(context, options, async (keeper) => {
    const result = await order(context, keeper, (updateId) => ask(keeper, updateId));
    if (context.json) printJson(context, { result: result ? 'done' : 'detached', ...result });
    else if (!result) printText(context, 'The keeper receives the order as soon as a worker runs.\n');
    else printText(context, `The keeper of ${keeper.spec.name} ${result.changed ? changed : unchanged}.\n`);
    return exitCodes.done;
  });
}
