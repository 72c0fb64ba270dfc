import { exitCodes, PerijoveError } from '../../errors/error.js';
import { forgetHost, type FenceResult } from '../../temporal/contract.js';
import { defineCommand, type CommandContext } from '../command.js';
import { withFramework } from '../framework.js';
import { printJson, printText } from '../io.js';
import { order } from '../keeper.js';
import { fileOption } from '../spec-file.js';
import { temporalOptions } from '../temporal.js';

export const forgetCommand = defineCommand({
  name: 'forget',
  summary: 'declare that a host removed from the spec never comes back',
  description:
    'For a host that the spec no longer contains and that `perijove up` cannot reach, so that it cannot end the ' +
    'services there. Switch the host off first: Perijove believes you. Its nodes are launched on other hosts, except ' +
    'a node that still answers at its address, and the next `up` goes on without the host. Refused while Mesos ' +
    'counts nodes on it as alive.',
  args: { host: { description: 'name of the host, such as h4' } },
  options: { file: fileOption, ...temporalOptions },
  examples: [['perijove forget h4', 'the machine of h4 is gone for good, and the spec lacks it']],
  async run(context, { args: { host }, options }) {
    return withFramework(context, options, async ({ spec, client, handle }) => {
      if (spec.hosts.some(({ name }) => name === host)) {
        throw new PerijoveError('HOST_NOT_REMOVED', `the spec of ${spec.name} contains ${host}`, { host });
      }
      const result = await order(context, { client, handle }, (updateId) =>
        handle.executeUpdate(forgetHost, { args: [host], updateId }),
      );
      return result ? ended(context, host, result) : detached(context);
    });
  },
});

function ended(context: CommandContext, host: string, result: FenceResult): number {
  if (context.json) {
    printJson(context, { result: 'done', host, ...result });
    return exitCodes.done;
  }
  const { changed, nodes } = result;
  const moving = nodes.length === 0 ? '' : `; rescheduling ${nodes.join(', ')}`;
  const what = `${host} ${changed ? 'is forgotten' : 'was forgotten before'}${moving}`;
  printText(context, `${context.colors.green('done')}: ${what}\nContinue with \`perijove up\`.\n`);
  return exitCodes.done;
}

function detached(context: CommandContext): number {
  if (context.json) printJson(context, { result: 'detached' });
  else printText(context, 'The host is forgotten as soon as a worker runs.\n');
  return exitCodes.done;
}
