import type { Client } from '@temporalio/client';
import { nodeNames, type ClusterSpec } from '../../cluster/spec.js';
import { exitCodes, PerijoveError } from '../../errors/error.js';
import { decideRecovery, type RecoveryPlan } from '../../etcd/recovery.js';
import {
  frameworkState,
  keeperState,
  workflowIds,
  workflowNames,
  type RecoveryInput,
  type RecoveryResult,
} from '../../temporal/contract.js';
import { untilAnswered } from '../../temporal/answers.js';
import { isRunning, runningState } from '../../temporal/running.js';
import { startOptions } from '../../temporal/start-options.js';
import { answerOf } from '../answer.js';
import { attend } from '../attend.js';
import { defineCommand, defineGroup, type CommandContext } from '../command.js';
import { withHosts } from '../hosts.js';
import { printJson, printNotice, printText } from '../io.js';
import { planText, surveyText } from '../recovery-text.js';
import { fileOption, openSpec } from '../spec-file.js';
import { unknownTarget } from '../targets.js';
import { temporalOptions, temporalSettings, withTemporal } from '../temporal.js';

const recoverEtcdCommand = defineCommand({
  name: 'etcd',
  summary: 'recover etcd when a majority of its members have lost their data',
  description:
    'Reads what every host keeps of etcd, shows it, and asks. Then etcd begins anew with the member that knows the ' +
    'most, or without data if none is left, and the other nodes join it as new members. Refused while a majority ' +
    'responds or has its data, and while a host cannot be read, unless it is given up with --lost. Notebooks, ' +
    'kernels and everything else outside the data of etcd stay; data that etcd no longer uses is set aside, not ' +
    'deleted. Ctrl-C only ends the waiting. Run it again to see how far it is.',
  options: {
    file: fileOption,
    lost: {
      flags: '--lost <names>',
      description: 'hosts and nodes whose data will not come back, such as h2,node4',
    },
    yes: { flags: '-y, --yes', description: 'do not ask' },
    ...temporalOptions,
  },
  examples: [
    ['perijove recover etcd', 'after the disks of most nodes were lost'],
    ['perijove recover etcd --lost h2,h3', 'these two machines are gone for good'],
  ],
  async run(context, { options }) {
    const { spec, absolute } = await openSpec(context, options.file);
    const lost = lostOf(spec, options.lost);
    return withTemporal(
      temporalSettings(context, options, absolute),
      async ({ client, connection, namespace }) => {
        const { ensureSearchAttributes } = await import('../../temporal/connect.js');
        await ensureSearchAttributes(connection, namespace);
        const workflowId = workflowIds.recovery(spec.name);
        const runs = await ask(client, context, workflowId, () => isRunning(client, workflowId));
        const plan = runs ? undefined : await confirmed(context, client, spec, lost, options.yes);
        if (plan === undefined && !context.json)
          printNotice(context, 'a recovery is running; waiting for its end\n');
        const handle =
          plan === undefined
            ? client.workflow.getHandle(workflowId)
            : await ask(client, context, workflowId, () => start(client, { spec, plan, lost }));
        const result = await attend<RecoveryResult>(client, handle, context.signal, (text) => {
          if (!context.json) printNotice(context, `${text}\n`);
        });
        return result ? ended(context, result) : detached(context, spec.name);
      },
    );
  },
});

export const recoverCommand = defineGroup({
  name: 'recover',
  summary: 'bring back a part that cannot return by itself',
  commands: [recoverEtcdCommand],
});

const patienceMs = 30_000;
const firstMs = 5_000;

function ask<T>(
  client: Client,
  { signal }: Pick<CommandContext, 'signal'>,
  receiver: string,
  question: () => Promise<T>,
): Promise<T> {
  return untilAnswered(client, question, { receiver, signal, firstMs, patienceMs });
}

/** @throws PerijoveError UNKNOWN_TARGET */
function lostOf(spec: ClusterSpec, text: string | undefined): readonly string[] {
  const names = [...spec.hosts.map(({ name }) => name), ...nodeNames(spec)];
  const given = (text ?? '').split(',').flatMap((part) => part.trim() || []);
  for (const name of given) {
    if (!names.includes(name))
      throw unknownTarget(`${spec.name} has no host or node \`${name}\``, name, names);
  }
  return given;
}

/**
 * Shows what was found and what will be done, and asks.
 *
 * @throws PerijoveError FRAMEWORK_ABSENT, the code of a refusal (`decideRecovery`), RECOVERY_NOT_CONFIRMED
 */
async function confirmed(
  context: CommandContext,
  client: Client,
  spec: ClusterSpec,
  lost: readonly string[],
  yes: boolean,
): Promise<RecoveryPlan> {
  const { knowledgeOf, surveyEtcd } = await import('../../status/etcd-survey.js');
  const ids = { framework: workflowIds.framework(spec.name), keeper: workflowIds.keeper(spec.name) };
  const [framework, keeper] = await Promise.all([
    ask(client, context, ids.framework, () => runningState(client, ids.framework, frameworkState)),
    ask(client, context, ids.keeper, () => runningState(client, ids.keeper, keeperState)),
  ]);
  if (framework === undefined) {
    throw new PerijoveError('FRAMEWORK_ABSENT', `${spec.name} has no running framework`, {
      subject: spec.name,
    });
  }
  const survey = await withHosts(context, (pool) => surveyEtcd(pool, spec, knowledgeOf(framework, keeper)));
  const decision = decideRecovery(survey, lost);
  if (!context.json) printText(context, surveyText(survey, lost));
  if (decision.kind === 'refuse') {
    const { code, reason, remedy } = decision;
    throw new PerijoveError(code, reason, remedy === undefined ? {} : { remedy });
  }
  if (!context.json) printText(context, `\n${planText(decision.plan, decision.reason, survey.nodes)}`);
  if (!yes) await confirm(context, spec.name);
  return decision.plan;
}

/** @throws PerijoveError RECOVERY_NOT_CONFIRMED */
async function confirm(context: CommandContext, cluster: string): Promise<void> {
  const { stdin, stdout, isTTY, json, signal } = context;
  const notConfirmed = new PerijoveError('RECOVERY_NOT_CONFIRMED', `etcd of ${cluster} was not recovered`);
  if (json || !isTTY || stdin.isTTY !== true) throw notConfirmed;
  stdout.write('Recover etcd? Type yes: ');
  const answer = await answerOf(stdin, signal);
  if (answer?.trim() !== 'yes') throw notConfirmed;
}

async function start(client: Client, input: RecoveryInput) {
  const { name } = input.spec;
  return client.workflow.start(workflowNames.recovery, {
    workflowId: workflowIds.recovery(name),
    args: [input],
    workflowIdConflictPolicy: 'USE_EXISTING',
    ...startOptions(name, `Recover etcd of ${name}`),
  });
}

function ended(context: CommandContext, result: RecoveryResult): number {
  const { epoch, leader, members, missing } = result;
  if (context.json) {
    printJson(context, { result: 'done', ...result });
  } else {
    const what = `etcd is in epoch ${epoch}; ${leader} leads, and ${members.length} nodes are members`;
    printText(context, `${context.colors.green('done')}: ${what}\n`);
    if (missing.length > 0) {
      printText(context, `${missing.join(', ')} will join when they run. See \`perijove status\`.\n`);
    }
  }
  return exitCodes.done;
}

function detached(context: CommandContext, cluster: string): number {
  if (context.json) printJson(context, { result: 'detached' });
  else printText(context, `The recovery continues as the workflow recovery:${cluster}.\n`);
  return exitCodes.done;
}
