import type { ElectionKind } from '../../elections/gather.js';
import { exitCodes, PerijoveError } from '../../errors/error.js';
import { defineCommand } from '../command.js';
import { withHosts } from '../hosts.js';
import { printJson, printText } from '../io.js';
import { fileOption, openSpec } from '../spec-file.js';

const kinds: readonly ElectionKind[] = ['etcd', 'mesos', 'zookeeper'];
const lastDefault = 3;

export const electionsCommand = defineCommand({
  name: 'elections',
  summary: 'replay the last elections, step by step, from the logs of the members',
  description:
    'Reads over SSH what the members of etcd, the Mesos masters and the ZooKeeper servers logged, and puts the steps ' +
    'together. Steps of one member are in the order of its log; between members, in the order of terms and then of ' +
    'time, by the clock of each host. A member whose log could not be read is named.',
  args: {
    kind: { description: 'etcd, mesos or zookeeper (default: all)', optional: true, choices: kinds },
  },
  options: {
    file: { ...fileOption, flags: '--file <file>' },
    last: {
      flags: '-n, --last <count>',
      description: `number of elections of each kind (default: ${lastDefault})`,
    },
  },
  examples: [
    ['perijove elections etcd -n 1', 'who was a candidate in the last election, and who voted for it'],
    ['perijove elections --json', 'every step with the line of the log that shows it'],
  ],
  async run(context, { args, options }) {
    const { spec } = await openSpec(context, options.file);
    const last = countOf(options.last ?? String(lastDefault));
    const wanted = args.kind === undefined ? kinds : [kindOf(args.kind)];
    const [{ gatherElectionLogs }, { replaysOf }, { electionsText }] = await Promise.all([
      import('../../elections/gather.js'),
      import('../../elections/replays.js'),
      import('../elections-text.js'),
    ]);
    const logs = await withHosts(context, (pool) => gatherElectionLogs(pool, spec, wanted));
    const replays = replaysOf(spec, logs, last);
    if (context.json) {
      const found = wanted.map((kind) => [
        kind,
        { elections: replays[kind], unknown: replays.unknown[kind] },
      ]);
      printJson(context, { cluster: spec.name, ...Object.fromEntries(found) });
    } else {
      const columns = context.isTTY ? context.columns : 80;
      printText(context, electionsText(replays, wanted, { colors: context.colors, columns }));
    }
    const silent = wanted.every((kind) => logs[kind].every(({ log }) => !log.known));
    return silent ? exitCodes.unreachable : exitCodes.done;
  },
});

/** @throws PerijoveError USAGE */
function kindOf(text: string): ElectionKind {
  const kind = kinds.find((each) => each === text);
  if (kind) return kind;
  throw new PerijoveError('USAGE', `elections are of ${kinds.join(', ')}, not of \`${text}\``);
}

/** @throws PerijoveError USAGE */
function countOf(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new PerijoveError('USAGE', `--last must be a number from 1 to 9999, not \`${text}\``);
}
