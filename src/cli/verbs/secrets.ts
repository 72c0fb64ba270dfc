import { exitCodes, PerijoveError } from '../../errors/error.js';
import { secretNames } from '../../cluster/secrets.js';
import type { HostSecrets } from '../../hosts/secrets.js';
import type { SecretStatus } from '../../status/secrets-survey.js';
import { defineCommand, defineGroup, type CommandContext } from '../command.js';
import { withHosts } from '../hosts.js';
import { printJson, printNotice, printText, textColumns } from '../io.js';
import { reportOf, reportText } from '../report.js';
import { fileOption, openSpec } from '../spec-file.js';
import { table } from '../table.js';

const listCommand = defineCommand({
  name: 'list',
  summary: 'print which secrets the hosts keep, and when certificates end',
  description:
    'Reads the secrets in `<dir>/etc/secrets` of every host, and prints for each what it opens, the hosts that have ' +
    'it, and the end of its certificate; never its value. `up` makes those that are missing.',
  options: { file: fileOption },
  async run(context, { options }) {
    const { spec } = await openSpec(context, options.file);
    const { hostSecrets } = await import('../../hosts/secrets.js');
    const { secretStatuses } = await import('../../status/secrets-survey.js');
    const read = await withHosts(context, (pool) =>
      Promise.all(
        spec.hosts.map(async (host): Promise<HostSecrets | { readonly error: unknown }> => {
          try {
            return await hostSecrets(await pool.get(host), secretNames, context.signal);
          } catch (error) {
            if (!(error instanceof PerijoveError)) throw error;
            return { error };
          }
        }),
      ),
    );
    const held = read.flatMap((each) => ('error' in each ? [] : [each]));
    const reports = read.flatMap((each) => ('error' in each ? [reportOf(each.error)] : []));
    const secrets = secretStatuses(held);
    if (context.json) {
      const errors = reports.map(({ code, message }) => ({ code, message }));
      printJson(context, { cluster: spec.name, secrets, errors });
    } else {
      if (held.length > 0) printText(context, textOf(secrets, held.length, context));
      const { colors, debug, program } = context;
      for (const report of reports) {
        printNotice(context, reportText(report, colors, { debug, columns: textColumns(context), program }));
      }
    }
    return reports[0]?.exitCode ?? exitCodes.done;
  },
});

function textOf(secrets: readonly SecretStatus[], count: number, context: CommandContext): string {
  const { colors } = context;
  const rows = secrets.map((each) => [
    each.name,
    each.purpose,
    placesOf(each, count, context),
    each.ends ?? '-',
  ]);
  const head = ['secret', 'for', 'hosts', 'ends'].map((name) => colors.dim(name));
  return `${table([head, ...rows], textColumns(context)).join('\n')}\n`;
}

function placesOf(
  { hosts, lacking, differs, exposed }: SecretStatus,
  count: number,
  { colors }: CommandContext,
): string {
  const some = lacking.length === 0 ? `all ${count}` : hosts.join(', ');
  const which = hosts.length === 0 ? 'none' : some;
  const wrong = [
    ...(differs ? ['values differ'] : []),
    ...(exposed.length > 0 ? [`others may read it on ${exposed.join(', ')}`] : []),
  ];
  return wrong.length === 0 ? which : `${which}: ${colors.red(wrong.join('; '))}`;
}

export const secretsCommand = defineGroup({
  name: 'secrets',
  summary: 'the secrets that the hosts keep',
  description:
    'Which secrets there are, where, and for how long. `up` makes them, and gives them to every host.',
  commands: [listCommand],
});
