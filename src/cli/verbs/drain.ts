import { setTimeout as delay } from 'node:timers/promises';
import { exitCodes } from '../../errors/error.js';
import { nodesOn } from '../../mesos/scheduler/cordons.js';
import { untilAnswered } from '../../temporal/answers.js';
import { cordonHost, frameworkState } from '../../temporal/contract.js';
import { defineCommand, type CommandContext } from '../command.js';
import { withFramework, type Framework } from '../framework.js';
import { printJson, printNotice, printText } from '../io.js';
import { order } from '../keeper.js';
import { fileOption } from '../spec-file.js';
import { agentHost } from '../targets.js';
import { temporalOptions } from '../temporal.js';

const pollMs = 500;

export const drainCommand = defineCommand({
  name: 'drain',
  summary: 'move all nodes off a host, for its maintenance',
  description:
    'The nodes of the host move to other hosts one at a time: Jupyter and leadership leave a node first, and a ' +
    'node is ended only if another host has room for it. No node is launched on the host until `perijove ' +
    'uncordon`. Its ZooKeeper server, Mesos master and proxy keep running. Waits until the host has no nodes; ' +
    'Ctrl-C only ends the waiting.',
  args: { host: { description: 'name of the host, such as h2' } },
  options: { file: fileOption, ...temporalOptions },
  examples: [
    ['perijove drain h2', 'before h2 is switched off'],
    ['perijove uncordon h2', 'after its maintenance'],
  ],
  async run(context, { args: { host }, options }) {
    return withFramework(context, options, async ({ spec, client, handle }) => {
      agentHost(spec, host);
      const result = await order(context, { client, handle }, (updateId) =>
        handle.executeUpdate(cordonHost, { args: [host], updateId }),
      );
      if (!result) return detached(context, host);
      return (await untilEmpty(context, { client, handle }, host))
        ? drained(context, host)
        : detached(context, host);
    });
  },
});

/** @returns false when it was interrupted */
async function untilEmpty(
  context: CommandContext,
  { client, handle }: Pick<Framework, 'client' | 'handle'>,
  host: string,
): Promise<boolean> {
  const { signal } = context;
  let reported = '';
  while (!signal.aborted) {
    const question = () => handle.query(frameworkState);
    const asked = untilAnswered(client, question, { receiver: handle.workflowId, signal });
    const state = await asked.catch((error: unknown) => {
      if (!signal.aborted) throw error;
      return undefined;
    });
    if (state === undefined) break;
    const nodes = nodesOn(state, host);
    if (nodes.length === 0) return true;
    const text = `waiting for ${nodes.join(', ')}${state.missing === undefined ? '' : `: ${state.missing}`}`;
    if (text !== reported) printNotice(context, `${text}\n`);
    reported = text;
    await delay(pollMs, undefined, { signal }).catch(() => undefined);
  }
  return false;
}

function drained(context: CommandContext, host: string): number {
  if (context.json) printJson(context, { result: 'done', host });
  else {
    const next = `Open it again with \`perijove uncordon ${host}\`.`;
    printText(context, `${context.colors.green('done')}: ${host} has no nodes\n${next}\n`);
  }
  return exitCodes.done;
}

function detached(context: CommandContext, host: string): number {
  if (context.json) printJson(context, { result: 'detached', host });
  else printText(context, `${host} is being drained. Revoke with \`perijove uncordon ${host}\`.\n`);
  return exitCodes.done;
}
