import { exitCodes } from '../../errors/error.js';
import type { ClusterSpec } from '../../cluster/spec.js';
import { deadlineAfter } from '../../net/deadline.js';
import type { DeployProgress, DeployResult } from '../../temporal/contract.js';
import { defineCommand, type CommandContext } from '../command.js';
import { printJson } from '../io.js';
import { count, progressView } from '../progress-view.js';
import { reportJson, reportOf, reportText } from '../report.js';
import { fileArgument, fileOption, givenFile, openSpec } from '../spec-file.js';
import { temporalOptions, temporalSettings, withTemporal } from '../temporal.js';
import { formatDuration } from '../../cluster/units.js';
import type { TemporalSettings } from '../../temporal/connect.js';

export const upCommand = defineCommand({
  name: 'up',
  summary: 'bring the cluster to what the spec says',
  description:
    'Starts a workflow, and shows what it does. Only what differs from the spec is touched; with no ' +
    'difference nothing is. A deployment of the same spec that runs already is joined, one of another ' +
    'spec is left alone. Ctrl-C leaves: the workflow goes on.',
  args: { file: fileArgument },
  options: {
    file: fileOption,
    detach: { flags: '-d, --detach', description: 'start it, and do not wait for its end' },
    ...temporalOptions,
  },
  examples: [
    ['perijove up', 'deploy ./cluster.yaml'],
    ['perijove up --json', 'end with {result, changed, stages}'],
  ],
  async run(context, { args, options }) {
    const { spec, absolute } = await openSpec(context, givenFile(args.file, options.file));
    return deployAndShow(context, spec, {
      temporal: temporalSettings(context, options, absolute),
      detach: options.detach,
    });
  },
});

/** Deploys and shows it, as `up` does. Resolves to the exit code. */
export async function deployAndShow(
  context: CommandContext,
  spec: ClusterSpec,
  { temporal, detach = false }: { readonly temporal: TemporalSettings; readonly detach?: boolean },
): Promise<number> {
  const [{ followDeploy, startDeploy }, { noWorker }, { ensureSearchAttributes }] = await Promise.all([
    import('../deploy.js'),
    import('../waits.js'),
    import('../../temporal/connect.js'),
  ]);
  return withTemporal(temporal, async ({ client, connection, namespace }) => {
    await ensureSearchAttributes(connection, namespace);
    const stop = detach ? AbortSignal.any([context.signal, deadlineAfter(detachMs)]) : context.signal;
    const { workflowId, untaken } = await startDeploy(client, spec, {
      signal: stop,
      onWait: () => {
        if (!context.json) context.stderr.write(`${noWorker}\n`);
      },
    });
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

/** How long `--detach` waits to hear that a worker took the deployment up, or that another spec is deployed. */
const detachMs = 10_000;

function finished(context: CommandContext, { changed, stages }: DeployResult): number {
  if (context.json) {
    printJson(context, { result: 'done', changed, stages });
  } else {
    const ms = stages.reduce((sum, stage) => sum + stage.ms, 0);
    const what = changed === 0 ? 'nothing had to be changed' : `${count(changed, 'change')} made`;
    context.stdout.write(`${context.colors.green('done')}: ${what}, in ${formatDuration(ms)}\n`);
  }
  return exitCodes.done;
}

function detached(context: CommandContext, workflowId: string, untaken: boolean): number {
  if (context.json) {
    printJson(context, { result: 'detached', workflowId });
  } else {
    const what = untaken ? 'begins as soon as a worker runs' : 'goes on';
    context.stdout.write(
      `The deployment ${what}, as the workflow ${workflowId}. To see it again: perijove up; in one look: perijove status.\n`,
    );
  }
  return exitCodes.done;
}

function failed(context: CommandContext, error: unknown, progress?: DeployProgress): number {
  const report = reportOf(error);
  if (context.json) {
    const stages = (progress?.stages ?? [])
      .filter(({ state }) => state !== 'waiting')
      .map(({ name, changed, ms }) => ({ name, changed, ms }));
    const changed = stages.reduce((sum, stage) => sum + stage.changed, 0);
    printJson(context, { result: 'failed', changed, stages, error: reportJson(report, context.debug) });
  } else {
    context.stderr.write(reportText(report, context.colors, context.debug));
  }
  return report.exitCode;
}
