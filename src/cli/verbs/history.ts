import { exitCodes, PerijoveError } from '../../errors/error.js';
import { defineCommand } from '../command.js';
import { historyText } from '../history-text.js';
import { printJson, printText, textColumns } from '../io.js';
import { fileOption, openSpec } from '../spec-file.js';
import { temporalOptions, temporalSettings, withTemporal } from '../temporal.js';

const defaultCount = 20;
const mostEntries = 1_000;

export const historyCommand = defineCommand({
  name: 'history',
  summary: 'list past operations on the cluster: who started them, and what changed',
  description:
    'Lists deployments, rotations of secrets, teardowns, recoveries, drills, moves, pauses and declarations about ' +
    'hosts, the latest first, from what the Temporal server keeps. No worker needs to run. Temporal deletes what ' +
    'ended before its retention period; the output names that time.',
  args: {
    count: {
      description: `number of operations (default: ${defaultCount}, at most ${mostEntries})`,
      optional: true,
    },
  },
  options: { file: fileOption, ...temporalOptions },
  examples: [
    ['perijove history 5', 'the last five operations'],
    ["perijove history --json | jq '.entries[].who'", 'who did them'],
  ],
  async run(context, { args, options }) {
    const limit = countGiven(args.count);
    const { spec, absolute } = await openSpec(context, options.file);
    const { readHistory } = await import('../history-reading.js');
    const history = await withTemporal(temporalSettings(context, options, absolute), ({ client }) =>
      readHistory(client, { cluster: spec.name, limit, signal: context.signal }),
    );
    if (context.json) printJson(context, history);
    else printText(context, historyText(history, context.colors, textColumns(context)));
    return exitCodes.done;
  },
});

/** @throws PerijoveError USAGE */
function countGiven(text: string | undefined): number {
  if (text === undefined) return defaultCount;
  if (/^[1-9]\d{0,3}$/.test(text) && Number(text) <= mostEntries) return Number(text);
  throw new PerijoveError('USAGE', `the count must be a number from 1 to ${mostEntries}, not \`${text}\``);
}
