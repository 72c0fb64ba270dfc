import { exitCodes, PerijoveError } from '../../errors/error.js';
import { heldNames, type PrimarySecret } from '../../cluster/secrets.js';
import { rotatable } from '../../deployment/rotation.js';
import type { HostSecrets } from '../../hosts/secrets.js';
import type { SecretStatus } from '../../status/secrets-survey.js';
import { defineCommand, defineGroup, type CommandContext } from '../command.js';
import { withHosts } from '../hosts.js';
import { printJson, printText, textColumns } from '../io.js';
import { reportOf, printReport } from '../report.js';
import { fileOption, openSpec } from '../spec-file.js';
import { table } from '../table.js';
import { unknownTarget } from '../targets.js';
import { temporalOptions, temporalSettings } from '../temporal.js';

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
            return await hostSecrets(await pool.get(host), heldNames, context.signal);
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
      for (const report of reports) printReport(context, report);
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
  { hosts, lacking, differs, exposed, rotation }: SecretStatus,
  count: number,
  { colors }: CommandContext,
): string {
  const some = lacking.length === 0 ? `all ${count}` : hosts.join(', ');
  const which = hosts.length === 0 ? 'none' : some;
  const wrong = [
    ...(rotation === undefined ? [] : ['is being replaced']),
    ...(differs && rotation === undefined ? ['values differ'] : []),
    ...(exposed.length > 0 ? [`others may read it on ${exposed.join(', ')}`] : []),
  ];
  return wrong.length === 0 ? which : `${which}: ${colors.red(wrong.join('; '))}`;
}

const rotateCommand = defineCommand({
  name: 'rotate',
  summary: 'replace secrets on a running cluster',
  description:
    'Makes new values, says what each replacement means for the cluster, and asks. Where two programs share a secret, ' +
    'both accept the old and the new one for the time between. Each step is followed by a deployment of the spec. ' +
    'It can be interrupted at any moment: the cluster goes on with what is valid, and the same command continues. ' +
    'Without names, all secrets but the authority of etcd are replaced.',
  args: {
    names: {
      description: 'names of secrets, as `secrets list` prints them',
      optional: true,
      variadic: true,
      choices: rotatable,
    },
  },
  options: {
    file: fileOption,
    yes: { flags: '-y, --yes', description: 'do not ask' },
    ...temporalOptions,
  },
  examples: [
    ['perijove secrets rotate jupyter-token', 'links with the old token stop working'],
    ['perijove secrets rotate etcd-member etcd-client', 'issue the certificates of etcd anew'],
  ],
  async run(context, { args, options }) {
    const names = rotatedNames(args.names);
    const { spec, absolute } = await openSpec(context, options.file, { files: true });
    const { confirmRotation, rotate } = await import('../secrets-rotation.js');
    await confirmRotation(context, { spec, names }, options.yes);
    return rotate(context, { spec, names, temporal: temporalSettings(context, options, absolute) });
  },
});

const authorityCommand = defineCommand({
  name: 'authority',
  summary: "print the certificate of the cluster's authority for HTTPS",
  description:
    'With `proxy.tls: cluster`, whoever installs this certificate in a browser or a system trusts the proxies. It is ' +
    'the public part alone, as PEM.',
  options: { file: fileOption },
  examples: [['perijove secrets authority > lab.crt', 'write it to a file']],
  async run(context, { options }) {
    const { spec } = await openSpec(context, options.file);
    const { readSecrets } = await import('../../hosts/secrets.js');
    const { 'https-authority.crt': certificate } = await withHosts(context, (pool) =>
      readSecrets(pool, spec, ['https-authority.crt']),
    );
    if (context.json) printJson(context, { cluster: spec.name, certificate });
    else context.stdout.write(`${certificate}\n`);
    return exitCodes.done;
  },
});

/** @throws PerijoveError UNKNOWN_TARGET */
function rotatedNames(given: readonly string[]): readonly PrimarySecret[] {
  if (given.length === 0) return rotatable.filter((name) => name !== 'etcd-authority');
  return [...new Set(given)].map((text) => {
    const name = rotatable.find((each) => each === text);
    if (name === undefined)
      throw unknownTarget(`no secret can be replaced by the name \`${text}\``, text, rotatable);
    return name;
  });
}

export const secretsCommand = defineGroup({
  name: 'secrets',
  summary: 'the secrets that the hosts keep',
  description:
    'Which secrets there are, where, and for how long; and how to replace them. `up` makes them, and gives them to every host.',
  commands: [listCommand, rotateCommand, authorityCommand],
});
