import { ApplicationFailure } from '@temporalio/common';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import type { ErrorCode } from '../../errors/codes.js';
import { exitCodes } from '../../errors/error.js';
import { fenceHost, type FenceResult } from '../../temporal/contract.js';
import { defineCommand, type CommandContext } from '../command.js';
import { withFramework } from '../framework.js';
import { printJson, printText } from '../io.js';
import { order } from '../keeper.js';
import { fileOption } from '../spec-file.js';
import { unknownTarget } from '../targets.js';
import { temporalOptions } from '../temporal.js';

export const fenceCommand = defineCommand({
  name: 'fence',
  summary: 'declare a host dead so that its nodes are rescheduled',
  description:
    'For a host that neither Mesos nor SSH reaches, and that is switched off or will not come back. Its nodes ' +
    'are launched on other hosts, except a node that still answers at its address. If the host comes back, its ' +
    'old nodes are ended. With `mesos.fenceAfter` in the spec, hosts are fenced automatically.',
  args: { host: { description: 'name of the host, such as h2' } },
  options: { file: fileOption, ...temporalOptions },
  examples: [['perijove fence h2', 'the machine of h2 is gone for good']],
  async run(context, { args: { host }, options }) {
    return withFramework(context, options, async ({ spec, client, handle }) => {
      try {
        const ask = () => handle.executeUpdate(fenceHost, { args: [host] });
        const result = await order(context, client, ask, 'the framework');
        return result ? ended(context, host, result) : detached(context);
      } catch (error) {
        // A host removed from the spec may still have nodes, so ask the framework first.
        const isKnown = spec.hosts.some(({ name }) => name === host);
        if (isKnown || !isRefusal(error, 'HOST_NOT_LOST')) throw error;
        throw unknownTarget(
          `${spec.name} has no host \`${host}\``,
          host,
          spec.hosts.map(({ name }) => name),
        );
      }
    });
  },
});

function isRefusal(error: unknown, code: ErrorCode): boolean {
  return (
    error instanceof WorkflowUpdateFailedError &&
    error.cause instanceof ApplicationFailure &&
    error.cause.type === code
  );
}

function ended(context: CommandContext, host: string, result: FenceResult): number {
  const { changed, nodes } = result;
  if (context.json) {
    printJson(context, { result: 'done', host, ...result });
  } else {
    const when = changed ? 'is fenced' : 'was fenced before';
    const what = `${host} ${when}; rescheduling ${nodes.join(', ')}`;
    printText(context, `${context.colors.green('done')}: ${what}\n`);
  }
  return exitCodes.done;
}

function detached(context: CommandContext): number {
  if (context.json) printJson(context, { result: 'detached' });
  else printText(context, 'The host is fenced as soon as a worker runs.\n');
  return exitCodes.done;
}
