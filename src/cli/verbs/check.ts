import type { HostFacts } from '../../hosts/facts.js';
import { exitCodes } from '../../errors/error.js';
import type { ClusterSpec } from '../../cluster/spec.js';
import { defineCommand, type CommandContext } from '../command.js';
import { knownHostsDir, withHosts } from '../hosts.js';
import { printJson, printText, textColumns } from '../io.js';
import { blockText, exitCodeOf, grouped, problemLines, withCommands } from '../report.js';
import { fileArgument, fileOption, givenFile, openSpec } from '../spec-file.js';
import type { Survey } from '../../deployment/cluster-survey.js';
import { hanging, table } from '../table.js';

export const checkCommand = defineCommand({
  name: 'check',
  summary: 'check the spec and every host for what would block a deployment',
  description:
    'Reads the spec, connects to every host, and checks packages, ports, disks, clocks and permissions. It ' +
    'changes nothing on the hosts. The key of a host that is not known yet is pinned, and its fingerprint ' +
    'printed: compare it with the fingerprint on the host.',
  args: { file: fileArgument },
  options: { file: fileOption },
  async run(context, { args, options }) {
    const { spec, file } = await openSpec(context, givenFile(args.file, options.file));
    const pins = knownHostsDir(context.env);
    const survey = await withHosts(context, async (pool) => {
      const { surveyCluster } = await import('../../deployment/cluster-survey.js');
      return surveyCluster(pool, spec, pins, context.signal);
    });
    const { hosts, pinned, problems } = survey;
    if (context.json)
      printJson(context, { cluster: spec.name, hosts: hosts.map(({ facts }) => facts), pinned, problems });
    else printText(context, checkText(spec, file, survey, context));
    const [first] = problems;
    return first === undefined ? exitCodes.done : exitCodeOf(first.code);
  },
});

function checkText(
  spec: ClusterSpec,
  file: string,
  { hosts, pinned, problems }: Survey,
  context: CommandContext,
): string {
  const { colors } = context;
  const columns = textColumns(context);
  const shown = grouped(problems).map((problem) => withCommands(problem, context.program));
  const rows = spec.hosts.map((host) => {
    const facts = hosts.find((each) => each.host === host.name)?.facts;
    const hasProblem = problems.some((problem) => problem.host === host.name);
    const state =
      facts === undefined ? colors.dim('-') : hasProblem ? colors.red('see below') : colors.green('ok');
    return [host.name, host.address, state, ...(facts ? factCells(facts) : [])];
  });
  const head = ['host', 'address', 'state', 'system', 'cpus', 'memory', 'free', 'services'].map((name) =>
    colors.dim(name),
  );
  const lines = [
    ...table([head, ...rows], columns),
    ...pinned.flatMap(({ host, fingerprint }, index) => [
      ...(index === 0 ? [''] : []),
      ...hanging('', `pinned the key of ${host}: ${fingerprint}`, columns),
    ]),
    ...shown.flatMap((problem) => ['', ...problemLines(problem, colors, columns)]),
    '',
    problems.length === 0
      ? `${file}: ${colors.green('no problems found')}`
      : `${file}: ${colors.red(blockText(shown.length))}`,
  ];
  return `${lines.join('\n')}\n`;
}

function factCells({ os, cpus, memoryBytes, freeBytes, init }: HostFacts): string[] {
  return [
    os.name,
    String(cpus),
    gibibytes(memoryBytes),
    gibibytes(freeBytes),
    init.systemd ? 'systemd' : init.runit ? 'runit' : '-',
  ];
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
