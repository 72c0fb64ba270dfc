import { exitCodes } from '../../errors/error.js';
import { moveJupyter, type MoveResult } from '../../temporal/contract.js';
import { defineCommand, type CommandContext } from '../command.js';
import { printJson } from '../io.js';
import { order, withKeeper } from '../keeper.js';
import { fileOption } from '../spec-file.js';
import { temporalOptions } from '../temporal.js';
import { formatDuration } from '../../cluster/units.js';

export const moveCommand = defineCommand({
  name: 'move',
  summary: 'move Jupyter and leadership to a node, without a failed request',
  description:
    "Jupyter is ready there first; then etcd's leadership moves, then every host's proxy leads there. " +
    'Kernels stay where they are and end with the connections to them. Ctrl-C leaves: the move goes on.',
  args: { node: { description: 'name of the node, such as node3' } },
  options: { file: fileOption, ...temporalOptions },
  examples: [['perijove move node3', 'before maintenance of the host that Jupyter is on']],
  async run(context, { args, options }) {
    return withKeeper(context, options, async ({ client, handle }) => {
      const ask = () => handle.executeUpdate(moveJupyter, { args: [args.node] });
      const result = await order(context, client, ask);
      return result ? ended(context, result) : left(context, args.node);
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
      : `Jupyter is on ${to} already`;
    context.stdout.write(`${context.colors.green('done')}: ${what}\n`);
  }
  return exitCodes.done;
}

function left(context: CommandContext, node: string): number {
  if (context.json) printJson(context, { result: 'detached' });
  else context.stdout.write(`The move to ${node} goes on; perijove events shows it.\n`);
  return exitCodes.done;
}
