import { setTimeout as delay } from 'node:timers/promises';
import { exitCodes, PerijoveError } from '../../errors/error.js';
import type { ClusterObservation } from '../../status/cluster-status.js';
import type { ClusterSpec } from '../../cluster/spec.js';
import type { TemporalClient } from '../../temporal/connect.js';
import { defineCommand, type CommandContext } from '../command.js';
import { withHosts } from '../hosts.js';
import { printJson } from '../io.js';
import { fileArgument, fileOption, givenFile, openSpec } from '../spec-file.js';
import { statusText } from '../status-text.js';
import { temporalOptions, temporalSettings, type TemporalChoice } from '../temporal.js';

const watchEveryMs = 1_000;

export const statusCommand = defineCommand({
  name: 'status',
  summary: 'print who leads, what runs where, and what is down',
  description:
    'Asks the workflows, and through SSH every host, all at once; a few seconds are enough also when ' +
    'most of it is down. While no worker runs it shows what the workflows stored last, and says so.',
  args: { file: fileArgument },
  options: {
    file: fileOption,
    long: { flags: '-l, --long', description: 'show every column, earlier tasks and all incidents' },
    watch: { flags: '-w, --watch', description: 'look again and again, until Ctrl-C' },
    ...temporalOptions,
  },
  examples: [
    ['perijove status', 'one look'],
    ['perijove status --json | jq .phase', 'absent, deploying, ready, degraded or failed'],
  ],
  async run(context, { args, options }) {
    const { spec, absolute } = await openSpec(context, givenFile(args.file, options.file));
    return withHosts(context, async (pool) => {
      const { observeCluster } = await import('../../status/observe.js');
      const look = async (): Promise<ClusterObservation> => {
        const temporal = await temporalIfThere(context, options, absolute);
        try {
          const { client } = temporal;
          const seen = await observeCluster({ ...(client && { client }), pool }, spec);
          // With neither Temporal nor a host there is nothing to tell.
          if (temporal.error && isDark(seen, spec)) throw temporal.error;
          return seen;
        } finally {
          await temporal.close?.();
        }
      };
      const isRedrawn = options.watch && context.isTTY && !context.json;
      const screen = () => ({
        columns: context.isTTY ? context.columns : 80,
        ...(isRedrawn && { clock: new Date().toLocaleTimeString('en-GB') }),
      });
      const show = (seen: ClusterObservation) => {
        if (isRedrawn) context.stdout.write(clearScreen);
        if (context.json) printJson(context, seen.status);
        else context.stdout.write(statusText(seen, context.colors, { long: options.long, ...screen() }));
      };
      show(await look());
      while (options.watch && !context.signal.aborted) {
        await delay(watchEveryMs, undefined, { signal: context.signal }).catch(() => undefined);
        if (context.signal.aborted) break;
        const seen = await look();
        show(seen);
      }
      return exitCodes.done;
    });
  },
});

/** Moves to the top left, and clears what follows: less flicker than clearing first. */
const clearScreen = '\u001b[H\u001b[2J';

function isDark({ status }: ClusterObservation, spec: ClusterSpec): boolean {
  return (
    status.zookeeper.members.every(({ mode }) => mode === 'down') &&
    status.mesos.masters.every(({ state }) => state === 'down') &&
    status.proxies.every(({ generation }) => generation === null) &&
    spec.hosts.length > 0
  );
}

type Reached =
  | (Pick<TemporalClient, 'client' | 'close'> & { readonly error?: undefined })
  | { readonly error: PerijoveError; readonly client?: undefined; readonly close?: undefined };

/** A server that cannot be reached is a fact for a status, not its end. */
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
