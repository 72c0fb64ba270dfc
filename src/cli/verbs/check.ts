import type { Colors } from 'picocolors/types.js';
import type { HostFacts } from '../../hosts/facts.js';
import type { Problem } from '../../hosts/problem.js';
import { exitCodes } from '../../errors/error.js';
import type { ClusterSpec } from '../../cluster/spec.js';
import { defineCommand } from '../command.js';
import { knownHostsDir, withHosts } from '../hosts.js';
import { printJson } from '../io.js';
import { count } from '../progress-view.js';
import { exitCodeOf, problemText } from '../report.js';
import { fileArgument, fileOption, givenFile, openSpec } from '../spec-file.js';
import type { Survey } from '../../deployment/cluster-survey.js';
import { table } from '../table.js';

export const checkCommand = defineCommand({
  name: 'check',
  summary: 'check the spec and every host for what would block a deployment',
  description:
    'Reads the spec, connects to every host, and looks at packages, ports, disks, clocks and ' +
    'permissions. It changes nothing on the hosts. The key of a host that has no known one is pinned, ' +
    'and its fingerprint shown: compare it with that of the host.',
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
    else context.stdout.write(checkText(spec, file, survey, context.colors));
    const [first] = problems;
    return first === undefined ? exitCodes.done : exitCodeOf(first.code);
  },
});

function checkText(
  spec: ClusterSpec,
  file: string,
  { hosts, pinned, problems }: Survey,
  colors: Colors,
): string {
  const rows = spec.hosts.map((host) => {
    const facts = hosts.find((each) => each.host === host.name)?.facts;
    const troubled = problems.some((problem) => problem.host === host.name);
    const state =
      facts === undefined ? colors.dim('-') : troubled ? colors.red('see below') : colors.green('ok');
    return [host.name, host.address, state, ...(facts ? factCells(facts) : [])];
  });
  const head = ['host', 'address', '', 'system', 'cpus', 'memory', 'free', 'services'].map((name) =>
    colors.dim(name),
  );
  const lines = [
    ...table([head, ...rows]),
    ...pinned.flatMap(({ host, fingerprint }, index) => [
      ...(index === 0 ? [''] : []),
      `${host} was met for the first time; its key is ${fingerprint}`,
    ]),
    ...problems.flatMap((problem) => ['', ...problemLines(problem, colors)]),
    '',
    problems.length === 0
      ? `${colors.green('ok')}: nothing is in the way of ${file}`
      : `${colors.red(count(problems.length, 'problem'))} in the way of ${file}`,
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

function problemLines({ code, message, remedy }: Problem, colors: Colors): string[] {
  return problemText({ title: message, code, remedy }, colors);
}
