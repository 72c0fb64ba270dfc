import { exitCodes } from '../../errors/error.js';
import { etcdSecurity, type ClusterSpec } from '../../cluster/spec.js';
import type { Change } from '../../hosts/items.js';
import { stageNames, type StageName } from '../../deployment/stages.js';
import { defineCommand, type CommandContext } from '../command.js';
import { knownHostsDir, withHosts } from '../hosts.js';
import { notKnown } from '../../hosts/observation.js';
import { printJson, printNotice, printText, textColumns } from '../io.js';
import { drainLines, plannedDrains } from '../planned-drains.js';
import { count } from '../progress-view.js';
import { exitCodeOf, grouped, problemLines, withCommands } from '../report.js';
import { fileArgument, fileOption, givenFile, openSpec } from '../spec-file.js';
import type { Survey } from '../../deployment/cluster-survey.js';
import { hanging } from '../table.js';
import { temporalOptions, temporalSettings } from '../temporal.js';

export interface PlannedStage {
  readonly name: StageName;
  readonly changes: readonly Change[];
}

export const planCommand = defineCommand({
  name: 'plan',
  summary: 'print what `up` would change, and change nothing',
  description:
    'Compares every host with the spec, and names nodes that must leave their hosts, nodes that are replaced, and hosts that leave. ' +
    'It does not list what follows from these changes: nodes that are launched, and moves of Jupyter.',
  args: { file: fileArgument },
  options: { file: fileOption, ...temporalOptions },
  async run(context, { args, options }) {
    const { spec, absolute } = await openSpec(context, givenFile(args.file, options.file), { files: true });
    const drains = await plannedDrains(context, temporalSettings(context, options, absolute), spec);
    const leavingDirs = drains.known ? drains.value.leaving.map(({ dir }) => dir) : [];
    const { survey, transition, replaced } = await withHosts(context, async (pool) => {
      const { ownArtifacts, surveyCluster } = await import('../../deployment/cluster-survey.js');
      const { etcdTransition } = await import('../../deployment/etcd-transition.js');
      const { nodesToReplace } = await import('../../deployment/replaced-nodes.js');
      return {
        survey: await surveyCluster(pool, spec, knownHostsDir(context.env), context.signal, leavingDirs),
        transition: await etcdTransition(pool, spec),
        replaced: drains.known
          ? await nodesToReplace(pool, spec, ownArtifacts(), drains.value.tasks)
          : notKnown(drains.why),
      };
    });
    const stages = plannedStages(survey);
    const changes = stages.reduce((sum, stage) => sum + stage.changes.length, 0);
    if (context.json) {
      const { nodes, leaving } = drains.known ? drains.value : { nodes: null, leaving: null };
      printJson(context, {
        ...{ cluster: spec.name, changes, stages, drains: nodes },
        leaving: leaving?.map(({ name }) => name) ?? null,
        etcdTransition: transition,
        replaced: replaced.known ? replaced.value : null,
        problems: survey.problems,
      });
    } else {
      if (drains.known) printText(context, sectionText('nodes', drainLines(spec, drains.value), context));
      else printNotice(context, `which nodes would leave their hosts is not known: ${drains.why}\n`);
      if (replaced.known) printText(context, replacedText(spec, replaced.value, context));
      else if (drains.known)
        printNotice(context, `which nodes would be replaced is not known: ${replaced.why}\n`);
      if (spec.mesos.principal === undefined) printNotice(context, openNotice);
      if (etcdSecurity(spec) !== 'authenticated') printNotice(context, openEtcdNotice);
      if (spec.jupyter.standby === 'cold') printNotice(context, coldNotice);
      if (transition) printText(context, transitionText(spec, context));
      printText(context, planText(stages, changes, survey, context));
    }
    const [first] = survey.problems;
    return first === undefined ? exitCodes.done : exitCodeOf(first.code);
  },
});

const openNotice =
  'Mesos is open: whoever reaches its ports runs commands on the hosts (`mesos.security: open`).\n';
const coldNotice =
  'Kernels end whenever Jupyter moves, since only the serving node has a Jupyter (`jupyter.standby: cold`).\n';
const openEtcdNotice = 'etcd is open: whoever reaches its ports ends its quorum (`etcd.security`).\n';

/** What each stage would change, in the order of `up`; leaves out stages without changes. */
export function plannedStages({ hosts }: Pick<Survey, 'hosts'>): PlannedStage[] {
  return stageNames
    .map((name) => ({ name, changes: hosts.flatMap(({ pending }) => pending[name] ?? []) }))
    .filter(({ changes }) => changes.length > 0);
}

/** Empty without lines. */
function sectionText(head: string, lines: readonly string[], context: CommandContext): string {
  if (lines.length === 0) return '';
  const columns = textColumns(context);
  return [context.colors.bold(head), ...lines.flatMap((line) => hanging('  ', line, columns)), ''].join('\n');
}

/** Kernels end with their node; with a cold standby also when Jupyter moves away from a node that is replaced. */
function replacedText(spec: ClusterSpec, nodes: readonly string[], context: CommandContext): string {
  if (nodes.length === 0) return '';
  const [first, ...more] = nodes;
  const which = nodes.length === spec.nodes.count ? 'all nodes' : nodes.join(', ');
  const what =
    more.length === 0
      ? `${first} is replaced; the kernels on it end`
      : `${which} are replaced, one at a time; the kernels on each end with it`;
  const text = `${what} (\`${context.program} kernels list\`), notebooks stay`;
  return sectionText('framework', [text], context);
}

/** Both rounds of nodes that `up` makes. */
function transitionText(spec: ClusterSpec, context: CommandContext): string {
  const end = etcdSecurity(spec) === 'authenticated' ? 'demands certificates' : 'is open to everyone';
  const text = `each node is replaced twice, one at a time: first all members of etcd learn to reach each other with and without TLS, then etcd ${end}`;
  return sectionText('framework', [text], context);
}

function planText(
  stages: readonly PlannedStage[],
  changes: number,
  { problems }: Survey,
  context: CommandContext,
): string {
  const { colors } = context;
  const columns = textColumns(context);
  const lines = [
    ...stages.flatMap(({ name, changes: each }) => [
      colors.bold(name),
      ...each.flatMap(({ host, what }) => hanging(`  ${host}: `, what, columns)),
    ]),
    ...grouped(problems).flatMap((problem) => [
      '',
      ...problemLines(withCommands(problem, context.program), colors, columns),
    ]),
    ...(stages.length + problems.length > 0 ? [''] : []),
    changes === 0 && problems.length === 0
      ? 'No changes: the hosts match the spec.'
      : `${count(changes, 'change')} to make.`,
  ];
  return `${lines.join('\n')}\n`;
}
