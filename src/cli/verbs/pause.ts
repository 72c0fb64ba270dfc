import { exitCodes } from '../../errors/error.js';
import { pauseKeeper, resumeKeeper, type PauseInput } from '../../temporal/contract.js';
import { defineCommand, type CommandContext } from '../command.js';
import { printJson } from '../io.js';
import { order, withKeeper, type Keeper } from '../keeper.js';
import { fileOption } from '../spec-file.js';
import { temporalOptions, type TemporalChoice } from '../temporal.js';

export const pauseCommand = defineCommand({
  name: 'pause',
  summary: 'suspend automatic moves and repairs, for maintenance',
  description:
    'Jupyter, the routes and the hosts files stay as they are until `perijove resume`. Nodes and proxies ' +
    'with reflexes still fail over by themselves.',
  options: {
    file: fileOption,
    reason: { flags: '--reason <text>', description: 'for those who read `perijove status` meanwhile' },
    ...temporalOptions,
  },
  examples: [['perijove pause --reason "new disks in h2"', 'shown by perijove status']],
  async run(context, { options }) {
    const { reason } = options;
    const args: [PauseInput] = [reason === undefined ? {} : { reason }];
    return tell(context, options, ({ handle }) => handle.executeUpdate(pauseKeeper, { args }), [
      'is paused',
      'was paused already',
    ]);
  },
});

export const resumeCommand = defineCommand({
  name: 'resume',
  summary: 'resume automatic moves and repairs',
  options: { file: fileOption, ...temporalOptions },
  run: (context, { options }) =>
    tell(context, options, ({ handle }) => handle.executeUpdate(resumeKeeper), ['goes on', 'was not paused']),
});

async function tell(
  context: CommandContext,
  options: TemporalChoice & { readonly file: string | undefined },
  ask: (keeper: Keeper) => Promise<{ readonly changed: boolean }>,
  [changed, unchanged]: readonly [string, string],
): Promise<number> {
  return withKeeper(context, options, async (keeper) => {
    const result = await order(context, keeper.client, () => ask(keeper));
    if (context.json) printJson(context, { result: result ? 'done' : 'detached', ...result });
    else if (!result) context.stdout.write('The keeper is told as soon as a worker runs.\n');
    else context.stdout.write(`The keeper of ${keeper.spec.name} ${result.changed ? changed : unchanged}.\n`);
    return exitCodes.done;
  });
}
