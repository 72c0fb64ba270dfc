import { setTimeout as delay } from 'node:timers/promises';
import { WorkflowNotFoundError } from '@temporalio/client';
import { exitCodes } from '../errors/error.js';
import { keeperState, type KeeperEvent } from '../temporal/contract.js';
import { defineCommand, type CommandContext } from './command.js';
import { withKeeper, type Keeper } from './keeper.js';
import { fileOption } from './spec-file.js';
import { temporalOptions } from './temporal.js';

const pollMs = 300;
const askMs = 2_000;

export const eventsCommand = defineCommand({
  name: 'events',
  summary: 'follow what the keeper does',
  description:
    'Prints what the keeper found and did last, then each thing as it happens, until Ctrl-C. Asking adds ' +
    'nothing to any history.',
  options: {
    file: fileOption,
    once: { flags: '--once', description: 'print what there is, and end' },
    ...temporalOptions,
  },
  examples: [['perijove events --json | jq .what', 'one JSON document a line']],
  async run(context, { options }) {
    return withKeeper(context, options, async (keeper) => {
      let seen = 0;
      for (;;) {
        const events = await newest(context, keeper, options.once);
        if (!events) return exitCodes.done;
        for (const event of events.filter(({ seq }) => seq > seen).reverse()) print(context, event);
        seen = Math.max(seen, ...events.map(({ seq }) => seq));
        if (options.once) return exitCodes.done;
        await delay(pollMs, undefined, { signal: context.signal }).catch(() => undefined);
      }
    });
  },
});

/** Undefined after Ctrl-C. A worker or a server that does not answer is waited for, unless `once`. */
async function newest(
  context: CommandContext,
  { client, handle }: Keeper,
  once: boolean,
): Promise<readonly KeeperEvent[] | undefined> {
  let told = false;
  while (!context.signal.aborted) {
    try {
      const { events } = await client.connection.withDeadline(Date.now() + askMs, () =>
        handle.query(keeperState),
      );
      return events;
    } catch (error) {
      if (once || error instanceof WorkflowNotFoundError) throw error;
      if (!told) context.stderr.write('nobody answers for the keeper; waiting for a worker\n');
      told = true;
      await delay(pollMs, undefined, { signal: context.signal }).catch(() => undefined);
    }
  }
  return undefined;
}

function print(context: CommandContext, event: KeeperEvent): void {
  if (context.json) {
    context.stdout.write(`${JSON.stringify(event)}\n`);
    return;
  }
  const { colors } = context;
  const paint = { failed: colors.red, lost: colors.yellow, paused: colors.yellow }[event.kind as string];
  const kind = event.kind.padEnd(8);
  context.stdout.write(`${colors.dim(event.at)}  ${paint ? paint(kind) : kind}  ${event.what}\n`);
}
