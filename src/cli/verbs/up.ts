import { exitCodes, PerijoveError } from '../../errors/error.js';
import type { ClusterSpec } from '../../cluster/spec.js';
import { limit } from '../../net/deadline.js';
import { scope } from '../../net/scope.js';
import type { DeployInput, DeployProgress, DeployResult } from '../../temporal/contract.js';
import { defineCommand, type CommandContext } from '../command.js';
import { knownHostsDir } from '../hosts.js';
import { printJson, printNotice, printText } from '../io.js';
import { count, progressView } from '../progress-view.js';
import { withReport } from '../internal-report.js';
import { reportJson, reportOf, printReport } from '../report.js';
import { fileArgument, fileOption, givenFile, openSpec } from '../spec-file.js';
import { temporalOptions, temporalSettings, withTemporal } from '../temporal.js';
import { formatDuration } from '../../cluster/units.js';
import type { TemporalSettings } from '../../temporal/connect.js';

export const upCommand = defineCommand({
  name: 'up',
  summary: 'deploy the cluster, or change it to match the spec',
  description:
    'Starts a workflow and shows its progress. Re-running `up` changes only what differs from the spec. If a ' +
    'deployment of the same spec is running, `up` attaches to it; while one of another spec is running, it is ' +
    'refused. Nodes leave a host that the spec no longer contains, and then its services end; its data are kept. ' +
    'Ctrl-C detaches: the workflow continues.',
  args: { file: fileArgument },
  options: {
    file: fileOption,
    detach: { flags: '-d, --detach', description: 'start the deployment and do not wait for it' },
    purgeRemoved: {
      flags: '--purge-removed',
      description: 'also remove data, logs and secrets of hosts that the spec no longer contains',
    },
    printStart: {
      flags: '--print-start',
      description: 'print the `temporal workflow start` call of this deployment, and start nothing',
    },
    sdk: {
      flags: '--sdk',
      description: "with --print-start: print a program for Temporal's TypeScript SDK instead",
    },
    ...temporalOptions,
  },
  examples: [
    ['perijove up', 'deploy ./cluster.yaml'],
    ['perijove up --print-start > deploy.sh', 'write what a CI job or a schedule runs'],
    ['perijove up --json', 'print {result, changed, stages} at the end'],
  ],
  async run(context, { args, options }) {
    const { spec, absolute } = await openSpec(context, givenFile(args.file, options.file), { files: true });
    const temporal = temporalSettings(context, options, absolute);
    const { detach, purgeRemoved, printStart, sdk } = options;
    if (printStart) return printStartOf(context, spec, { temporal, purgeRemoved, sdk });
    if (sdk) throw new PerijoveError('USAGE', '--sdk is only for --print-start');
    return deployAndShow(context, spec, { temporal, detach, purgeRemoved });
  },
});

/** Prints how others start this deployment. Contacts nobody. */
async function printStartOf(
  context: CommandContext,
  spec: ClusterSpec,
  {
    temporal,
    purgeRemoved,
    sdk,
  }: { readonly temporal: TemporalSettings; readonly purgeRemoved: boolean; readonly sdk: boolean },
): Promise<number> {
  const [{ sdkCall, shellCall, startOf }, { pinnedKeys }] = await Promise.all([
    import('../print-start.js'),
    import('../../ssh/host-keys.js'),
  ]);
  const seen = await pinnedKeys(spec.hosts, knownHostsDir(context.env));
  const input: DeployInput = {
    spec,
    ...(Object.keys(seen).length > 0 && { seen }),
    ...(purgeRemoved && { purgeRemoved }),
  };
  if (context.json) printJson(context, { ...startOf(input), input });
  else context.stdout.write(sdk ? sdkCall(input, temporal) : shellCall(input, temporal));
  return exitCodes.done;
}

/** Deploys and shows the progress. Resolves to the exit code. */
export async function deployAndShow(
  context: CommandContext,
  spec: ClusterSpec,
  {
    temporal,
    detach = false,
    purgeRemoved = false,
    rotates,
  }: {
    readonly temporal: TemporalSettings;
    readonly detach?: boolean;
    readonly purgeRemoved?: boolean;
    /** The secrets that it replaces, for `history`. */
    readonly rotates?: readonly string[];
  },
): Promise<number> {
  const [{ followDeploy, startDeploy }, { ensureSearchAttributes }, { prepareRelease }, { pinnedKeys }] =
    await Promise.all([
      import('../deploy.js'),
      import('../../temporal/connect.js'),
      import('../versions.js'),
      import('../../ssh/host-keys.js'),
    ]);
  return withTemporal(temporal, async ({ client, connection, namespace }) => {
    await ensureSearchAttributes(connection, namespace);
    const stop = detach ? limit(detachMs, context.signal).signal : context.signal;
    const onWait = (text: string) => {
      if (!context.json) printNotice(context, `${text}\n`);
    };
    const preparing = scope(stop);
    await prepareRelease(client, { signal: preparing.signal, moves: spec.name, onWait });
    const seen = await pinnedKeys(spec.hosts, knownHostsDir(context.env));
    const starting = startDeploy(client, spec, {
      ...{ signal: stop, onWait, purgeRemoved, seen },
      ...(rotates && { rotates }),
    });
    const { workflowId, untaken } = await starting.finally(() => preparing.abort());
    if (detach || context.signal.aborted) return detached(context, workflowId, untaken);
    const view = progressView(context);
    const outcome = await followDeploy(client, workflowId, view, context.signal).finally(() => view.end());
    switch (outcome.kind) {
      case 'done':
        return finished(context, outcome.result);
      case 'detached':
        return detached(context, workflowId, false);
      case 'failed':
        return failed(context, outcome.error, outcome.progress);
    }
  });
}

/** How long `--detach` waits until a worker accepts the deployment, or it is rejected for another one. */
const detachMs = 10_000;

function finished(context: CommandContext, { changed, stages }: DeployResult): number {
  if (context.json) {
    printJson(context, { result: 'done', changed, stages });
  } else {
    const ms = stages.reduce((sum, stage) => sum + stage.ms, 0);
    const what = changed === 0 ? 'nothing to change' : `${count(changed, 'change')} made`;
    printText(context, `${context.colors.green('done')}: ${what}, in ${formatDuration(ms)}\n`);
  }
  return exitCodes.done;
}

function detached(context: CommandContext, workflowId: string, untaken: boolean): number {
  if (context.json) {
    printJson(context, { result: 'detached', workflowId });
  } else {
    const what = untaken ? 'starts as soon as a worker runs' : 'continues';
    printText(
      context,
      `The deployment ${what} as the workflow ${workflowId}.\n` +
        'Attach to it with `perijove up`, or see `perijove status`.\n',
    );
  }
  return exitCodes.done;
}

async function failed(context: CommandContext, error: unknown, progress?: DeployProgress): Promise<number> {
  const report = await withReport(context, reportOf(error));
  if (context.json) {
    const stages = (progress?.stages ?? [])
      .filter(({ state }) => state !== 'waiting')
      .map(({ name, changed, ms }) => ({ name, changed, ms }));
    const changed = stages.reduce((sum, stage) => sum + stage.changed, 0);
    printJson(context, { result: 'failed', changed, stages, error: reportJson(report, context.debug) });
  } else {
    printReport(context, report);
  }
  return report.exitCode;
}
