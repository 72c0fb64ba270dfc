import type { Client } from '@temporalio/client';
import { exitCodes, PerijoveError } from '../../errors/error.js';
import type { Renewal } from '../../temporal/renewal.js';
import type { Build, Versions } from '../../temporal/versions.js';
import { defineCommand, type CommandContext } from '../command.js';
import { printJson, printText } from '../io.js';
import { fileOption, openSpec } from '../spec-file.js';
import { table } from '../table.js';
import { temporalOptions, temporalSettings, withTemporal } from '../temporal.js';
import type { Moved } from '../versions.js';

export const promoteCommand = defineCommand({
  name: 'promote',
  summary: 'make the workers of this release the current ones',
  description:
    'New workflows, deployments and drills go to the workers of the current release. The framework and the keeper ' +
    'of each cluster stay with the release that they run on until they are promoted: then they continue as new ' +
    'runs with this one. `perijove up` does that too. Prints which release has which workers and workflows. ' +
    'Refused while no worker of this release runs.',
  options: {
    file: fileOption,
    list: { flags: '-l, --list', description: 'print what runs where, and change nothing' },
    unversioned: {
      flags: '--unversioned',
      description: 'before going back to a release without versions: make workers without a version current',
    },
    ...temporalOptions,
  },
  examples: [
    ['perijove promote', 'after the workers of a new release have started'],
    ['perijove promote --list', 'see which workers may be stopped'],
  ],
  async run(context, { options }) {
    const { absolute } = await openSpec(context, options.file);
    const { asking, moveLasting, ownBuild, promote, versionsOf } = await import('../versions.js');
    return withTemporal(temporalSettings(context, options, absolute), async ({ client }) => {
      const ask = asking(client, context.signal);
      const { supported, server } = await versionsOf(client, ask);
      if (!supported) {
        throw new PerijoveError('VERSIONS_UNSUPPORTED', `the Temporal server has version ${server}`);
      }
      const own = ownBuild();
      let changed = false;
      let moved: readonly Moved[] = [];
      if (!options.list) {
        const build: Build = options.unversioned ? null : required(own);
        const promoted = await promote(client, build, ask);
        if (promoted === undefined) throw notRunning(build);
        changed = promoted;
        const clusters = await ask(() => runningClusters(client));
        moved = await moveLasting(client, clusters, { build, signal: context.signal, ask });
      }
      const { versions } = await versionsOf(client, ask);
      const places = await ask(() => workflowsByBuild(client));
      show(context, { own, changed, moved, versions, places });
      return moved.some(({ outcome }) => outcome === 'stuck') ? exitCodes.failed : exitCodes.done;
    });
  },
});

function required(build: string | undefined): string {
  if (build !== undefined) return build;
  throw new PerijoveError('NOT_BUILT', 'the workflows of this release have not been built');
}

function notRunning(build: Build): PerijoveError {
  return new PerijoveError(
    'RELEASE_NOT_RUNNING',
    `no worker ${build === null ? nameOf(build) : `of ${build}`} asks for work`,
  );
}

const nameOf = (build: Build): string => build ?? 'without a version';

/** The clusters that have a framework or a keeper. */
async function runningClusters(client: Client): Promise<string[]> {
  const clusters = new Set<string>();
  const query = "ExecutionStatus = 'Running' AND WorkflowType IN ('framework', 'keeper')";
  for await (const { workflowId } of client.workflow.list({ query })) {
    clusters.add(workflowId.slice(workflowId.indexOf(':') + 1));
  }
  return [...clusters].toSorted();
}

type Places = ReadonlyMap<Build | undefined, readonly string[]>;

/** The running workflows of Perijove by the build that they are pinned to; undefined for the current one. */
async function workflowsByBuild(client: Client): Promise<Places> {
  const { pinnedTo } = await import('../../temporal/versions.js');
  const { taskQueue } = await import('../../temporal/contract.js');
  const found = new Map<Build | undefined, string[]>();
  const query = `ExecutionStatus = 'Running' AND TaskQueue = '${taskQueue}'`;
  for await (const { workflowId, runId } of client.workflow.list({ query })) {
    const described = await client.workflow.getHandle(workflowId, runId).describe();
    if (described.status.name !== 'RUNNING') continue;
    const build = pinnedTo(described);
    found.set(build, [...(found.get(build) ?? []), workflowId].toSorted());
  }
  return found;
}

interface Shown {
  readonly own: string | undefined;
  readonly changed: boolean;
  readonly moved: readonly Moved[];
  readonly versions: Versions | undefined;
  readonly places: Places;
}

function show(context: CommandContext, { own, changed, moved, versions, places }: Shown): void {
  const current = versions?.current ?? null;
  const known = new Set<Build>([
    current,
    ...(versions?.builds ?? []).flatMap(({ build, workers }) => (workers.length > 0 ? [build] : [])),
    ...[...places.keys()].filter((build) => build !== undefined),
  ]);
  const rows = [...known].map((build) => ({
    build,
    current: build === current,
    own: build === own,
    workers: (versions?.builds.find((each) => each.build === build)?.workers ?? []).map(
      ({ identity }) => identity,
    ),
    workflows: [...(places.get(build) ?? []), ...(build === current ? (places.get(undefined) ?? []) : [])],
  }));
  if (context.json) {
    printJson(context, { result: 'done', changed, build: own ?? null, builds: rows, moved });
    return;
  }
  const marks = (row: (typeof rows)[number]) =>
    [row.current ? 'current' : '', row.own ? 'this release' : ''].filter((text) => text !== '').join(', ');
  const cells = rows.map((row) => [
    nameOf(row.build),
    marks(row),
    row.workers.join(', ') || 'none',
    row.workflows.join(', ') || 'none',
  ]);
  printText(context, `${table([['build', '', 'workers', 'workflows'], ...cells]).join('\n')}\n`);
  for (const { workflow, outcome } of moved) {
    const text = outcomes[outcome];
    if (text !== undefined) printText(context, `${workflow} ${text}\n`);
  }
}

const outcomes: Record<Renewal, string | undefined> = {
  absent: undefined,
  there: undefined,
  moved: 'continues as a new run',
  late: 'has not begun a new run yet; it does when what it is doing ends',
  stuck: 'makes no step: its history does not fit this release (WORKFLOW_INCOMPATIBLE); run `perijove up`',
};
