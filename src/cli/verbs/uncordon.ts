import { exitCodes } from '../../errors/error.js';
import { uncordonHost } from '../../temporal/contract.js';
import { defineCommand } from '../command.js';
import { withFramework } from '../framework.js';
import { printJson, printText } from '../io.js';
import { order } from '../keeper.js';
import { fileOption } from '../spec-file.js';
import { agentHost } from '../targets.js';
import { temporalOptions } from '../temporal.js';

export const uncordonCommand = defineCommand({
  name: 'uncordon',
  summary: 'permit nodes on a drained host again',
  description:
    'Nodes may be launched on the host again. Those that moved stay where they are, unless a host holds a ' +
    'majority of the nodes: then one of them moves.',
  args: { host: { description: 'name of the host, such as h2' } },
  options: { file: fileOption, ...temporalOptions },
  examples: [['perijove uncordon h2', 'h2 is back']],
  async run(context, { args: { host }, options }) {
    return withFramework(context, options, async ({ spec, client, handle }) => {
      agentHost(spec, host);
      const ask = () => handle.executeUpdate(uncordonHost, { args: [host] });
      const result = await order(context, client, ask, 'the framework');
      if (context.json) {
        printJson(context, { result: result ? 'done' : 'detached', host, ...result });
      } else if (result) {
        const what = result.changed ? 'is open to nodes again' : 'was open to nodes';
        printText(context, `${context.colors.green('done')}: ${host} ${what}\n`);
      } else {
        printText(context, 'The host is opened as soon as a worker runs.\n');
      }
      return exitCodes.done;
    });
  },
});
