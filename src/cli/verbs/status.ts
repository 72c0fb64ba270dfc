import { setTimeout as delay } from 'node:timers/promises';
import { exitCodes, PerijoveError } from '../../errors/error.js';
import { hasAnswered, type ClusterObservation } from '../../status/cluster-status.js';
import type { ClusterSpec } from '../../cluster/spec.js';
import type { TemporalClient } from '../../temporal/connect.js';
import { defineCommand, type CommandContext } from '../command.js';
import { withHosts } from '../hosts.js';
import { printJson } from '../io.js';
import { typeable } from '../program.js';
import { fileArgument, fileOption, givenFile, openSpec } from '../spec-file.js';
import { statusText } from '../status-text.js';
import { temporalOptions, temporalSettings, type TemporalChoice } from '../temporal.js';

const watchEveryMs = 1_000;

export const statusCommand = defineCommand({
  name: 'status',
  summary: 'print who leads, what runs where, and what is down',
  description:
    'Asks the workflows and, over SSH, every host at the same time; it takes a few seconds even when most of the ' +
    'cluster is down. While no worker runs, it shows the state that the workflows stored last.',
  args: { file: fileArgument },
  options: {
    file: fileOption,
    long: { flags: '-l, --long', description: 'show every column, earlier tasks and all incidents' },
    watch: { flags: '-w, --watch', description: 'redraw every second, until Ctrl-C' },
    ...temporalOptions,
  },
  examples: [
    ['perijove status', 'print the status once'],
    ['perijove status --json | jq .phase', 'absent, deploying, ready, degraded or failed'],
  ],
  async run(context, { args, options }) {
    const { spec, absolute } = await openSpec(context, givenFile(args.file, options.file));
    return withHosts(context, async (pool) => {
      const { observeCluster } = await import('../../status/observe.js');
      const observe = async (): Promise<ClusterObservation> => {
        const temporal = await temporalIfThere(context, options, absolute);
        try {
          const { client } = temporal;
          const observation = await observeCluster({ ...(client && { client }), pool }, spec);
          // With neither Temporal nor a host, nothing is known.
          if (temporal.error && isUnreachable(observation, spec)) throw temporal.error;
          return observation;
        } finally {
          await temporal.close?.();
        }
      };
      const isRedrawn = options.watch && context.isTTY && !context.json;
      const screen = () => ({
        columns: context.isTTY ? context.columns : 80,
        ...(isRedrawn && { clock: new Date().toLocaleTimeString('en-GB') }),
      });
      const show = (observation: ClusterObservation) => {
        if (isRedrawn) context.stdout.write(clearScreen);
        if (context.json) printJson(context, observation.status);
        else {
          const text = statusText(observation, context.colors, { long: options.long, ...screen() });
          context.stdout.write(typeable(text, context.program));
        }
      };
      show(await observe());
      while (options.watch && !context.signal.aborted) {
        await delay(watchEveryMs, undefined, { signal: context.signal }).catch(() => undefined);
        if (context.signal.aborted) break;
        show(await observe());
      }
      return exitCodes.done;
    });
  },
});

/** Moves to the top left and clears what follows: less flicker than clearing first. */
const clearScreen = '\u001b[H\u001b[2J';

function isUnreachable({ status }: ClusterObservation, spec: ClusterSpec): boolean {
  return (
    !status.zookeeper.members.some(({ mode }) => hasAnswered(mode)) &&
    !status.mesos.masters.some(({ state }) => hasAnswered(state)) &&
    status.proxies.every(({ generation }) => generation === null) &&
    spec.hosts.length > 0
  );
}

type Reached =
  | (Pick<TemporalClient, 'client' | 'close'> & { readonly error?: undefined })
  | { readonly error: PerijoveError; readonly client?: undefined; readonly close?: undefined };

/** An unreachable server does not end the command: the status reports it. */
async function temporalIfThere(
  context: CommandContext,
  choice: TemporalChoice,
  specFile: string,
): Promise<Reached> {
  const { connectClient } = await import('../../temporal/connect.js');
  try {
    return await connectClient({ ...temporalSettings(context, choice, specFile), deadlineMs: 3_000 });
  } catch (error) {
    if (error instanceof PerijoveError && error.code === 'TEMPORAL_UNREACHABLE') return { error };
    throw error;
  }
}
