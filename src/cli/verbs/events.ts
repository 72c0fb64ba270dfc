import { setTimeout as delay } from 'node:timers/promises';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { exitCodes, PerijoveError } from '../../errors/error.js';
import {
  frameworkState,
  keeperState,
  workflowIds,
  type FrameworkEvent,
  type KeeperEvent,
} from '../../temporal/contract.js';
import { defineCommand, type CommandContext } from '../command.js';
import { printNotice, printText, textColumns } from '../io.js';
import { fileOption, openSpec } from '../spec-file.js';
import { hanging } from '../table.js';
import { temporalOptions, temporalSettings, withTemporal } from '../temporal.js';

const pollMs = 300;
const askMs = 2_000;

const sources = ['keeper', 'framework'] as const;
type Source = (typeof sources)[number];

/** An event and its source; `seq` counts the events of one source. */
export type SourcedEvent = (KeeperEvent | FrameworkEvent) & { readonly source: Source };

export const eventsCommand = defineCommand({
  name: 'events',
  summary: 'follow the events of the keeper, of Mesos and of its tasks',
  description:
    'Prints the latest events and then follows new ones, until Ctrl-C: what the keeper observed and did, which ' +
    'Mesos master leads, which agents registered or were lost, which worker holds the scheduler, and the state ' +
    'of each task. Following events adds nothing to workflow histories.',
  options: {
    file: fileOption,
    once: { flags: '--once', description: 'print the latest events and exit' },
    ...temporalOptions,
  },
  examples: [['perijove events --json | jq .what', 'one JSON document per line']],
  async run(context, { options }) {
    const { spec, absolute } = await openSpec(context, options.file);
    return withTemporal(temporalSettings(context, options, absolute), async ({ client }) => {
      let seen: Readonly<Record<Source, number>> = { keeper: 0, framework: 0 };
      for (;;) {
        const events = await newest(context, client, spec.name, options.once);
        if (!events) return exitCodes.done;
        for (const event of unseen(events, seen)) print(context, event);
        seen = lastOf(events, seen);
        if (options.once) return exitCodes.done;
        await delay(pollMs, undefined, { signal: context.signal }).catch(() => undefined);
      }
    });
  },
});

/** The events after the last printed one of each source, in order of time. */
export function unseen(
  events: readonly SourcedEvent[],
  seen: Readonly<Record<Source, number>>,
): readonly SourcedEvent[] {
  return events
    .filter(({ source, seq }) => seq > seen[source])
    .toSorted((a, b) => {
      if (a.at !== b.at) return a.at < b.at ? -1 : 1;
      return a.source === b.source ? a.seq - b.seq : 0;
    });
}

function lastOf(events: readonly SourcedEvent[], seen: Readonly<Record<Source, number>>) {
  const last = (source: Source) =>
    Math.max(seen[source], ...events.filter((event) => event.source === source).map(({ seq }) => seq));
  return { keeper: last('keeper'), framework: last('framework') };
}

/**
 * Undefined after Ctrl-C. Waits while no worker or server responds, unless `once`.
 *
 * @throws PerijoveError KEEPER_ABSENT when neither a keeper nor a framework of the cluster runs
 */
async function newest(
  context: CommandContext,
  client: Client,
  cluster: string,
  once: boolean,
): Promise<readonly SourcedEvent[] | undefined> {
  let isNoticed = false;
  while (!context.signal.aborted) {
    const answers = await Promise.allSettled(sources.map((source) => eventsOf(client, cluster, source)));
    const failures = answers.flatMap((answer): Error[] =>
      answer.status === 'rejected' ? [errorOf(answer.reason)] : [],
    );
    if (failures.length === sources.length && failures.every(isAbsence)) {
      throw new PerijoveError('KEEPER_ABSENT', `neither a keeper nor a framework of ${cluster} runs`, {
        subject: cluster,
      });
    }
    const broken = failures.find((failure) => !isAbsence(failure));
    if (broken === undefined) {
      return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    }
    if (once) throw broken;
    if (!isNoticed) {
      printNotice(context, 'the keeper and the framework are not responding; waiting for a worker\n');
    }
    isNoticed = true;
    await delay(pollMs, undefined, { signal: context.signal }).catch(() => undefined);
  }
  return undefined;
}

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

function isAbsence(error: unknown): boolean {
  return error instanceof WorkflowNotFoundError;
}

/** @throws WorkflowNotFoundError, and errors of Temporal's client */
async function eventsOf(client: Client, cluster: string, source: Source): Promise<SourcedEvent[]> {
  return await client.connection.withDeadline(Date.now() + askMs, async () => {
    const handle = client.workflow.getHandle(workflowIds[source](cluster));
    const { events = [] } = await (source === 'keeper'
      ? handle.query(keeperState)
      : handle.query(frameworkState));
    return events.map((event) => ({ ...event, source }));
  });
}

function print(context: CommandContext, event: SourcedEvent): void {
  if (context.json) {
    context.stdout.write(`${JSON.stringify(event)}\n`);
    return;
  }
  const { colors } = context;
  const paint = {
    failed: colors.red,
    lost: colors.yellow,
    paused: colors.yellow,
    fenced: colors.yellow,
    ended: colors.yellow,
  }[event.kind as string];
  const kind = event.kind.padEnd(9);
  const lead = `${colors.dim(event.at)}  ${paint ? paint(kind) : kind}  `;
  const lines = hanging(lead, event.what, textColumns(context));
  printText(context, `${lines.join('\n')}\n`);
}
