import { exitCodes } from '../../errors/error.js';
import { moveJupyter, type MoveResult } from '../../temporal/contract.js';
import { defineCommand, type CommandContext } from '../command.js';
import { printJson, printText } from '../io.js';
import { order, withKeeper } from '../keeper.js';
import { fileOption } from '../spec-file.js';
import { temporalOptions } from '../temporal.js';
import { formatDuration } from '../../cluster/units.js';

export const moveCommand = defineCommand({
  name: 'move',
  summary: 'move Jupyter and leadership to a node, without a failed request',
  description:
    "First Jupyter is made ready on that node, then etcd's leadership moves, then every host's proxy is " +
    'pointed there. Kernels stay on the node where they run, and notebooks stay connected to them; with ' +
    '`standby: cold` they end. Ctrl-C detaches: the move continues.',
  args: { node: { description: 'name of the node, such as node3' } },
  options: { file: fileOption, ...temporalOptions },
  examples: [['perijove move node3', 'before maintenance of the host that runs Jupyter']],
  async run(context, { args, options }) {
    return withKeeper(context, options, async ({ client, handle }) => {
      const result = await order(context, { client, handle }, (updateId) =>
        handle.executeUpdate(moveJupyter, { args: [args.node], updateId }),
      );
      return result ? ended(context, result) : detached(context, args.node);
    });
  },
});

function ended(context: CommandContext, result: MoveResult): number {
  if (context.json) {
    printJson(context, { result: 'done', ...result });
  } else {
    const { moved, from, to, generation, tookMs } = result;
    const what = moved
      ? `Jupyter moved ${from === undefined ? '' : `from ${from} `}to ${to}, in ${formatDuration(tookMs)} (generation ${generation})`
      : `Jupyter is already on ${to}`;
    printText(context, `${context.colors.green('done')}: ${what}\n`);
  }
  return exitCodes.done;
}

function detached(context: CommandContext, node: string): number {
  if (context.json) printJson(context, { result: 'detached' });
  else printText(context, `The move to ${node} continues; follow it with \`perijove events\`.\n`);
  return exitCodes.done;
}
