/** `perijove secrets rotate`: the steps on the hosts, each with a deployment after it. */
import { isAcceptedTwice, type PrimarySecret } from '../cluster/secrets.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { effectOf, isStepped } from '../deployment/rotation.js';
import type { Rotation } from '../deployment/rotate.js';
import { exitCodes, PerijoveError } from '../errors/error.js';
import type { TemporalSettings } from '../temporal/connect.js';
import { answerOf } from './answer.js';
import type { CommandContext } from './command.js';
import { withHosts } from './hosts.js';
import { printJson, printNotice, printText, textColumns } from './io.js';
import { hanging } from './table.js';
import { deployAndShow } from './verbs/up.js';

export interface RotationOrder {
  readonly spec: ClusterSpec;
  readonly names: readonly PrimarySecret[];
  readonly temporal: TemporalSettings;
}

/** Resolves to the exit code. */
export async function rotate(context: CommandContext, order: RotationOrder): Promise<number> {
  const { prepareRotation, commitRotation, finishRotation } = await import('../deployment/rotate.js');
  const { spec, names } = order;
  const onHosts = (title: string, work: (rotation: Rotation) => Promise<void>) => async () => {
    if (!context.json) printNotice(context, `${title}\n`);
    await withHosts(context, (pool) => work({ pool, spec, names, signal: context.signal }));
    return exitCodes.done;
  };
  const deploy = () => deployStep(context, order);
  const stepped = names.some(isStepped);
  const steps = [
    onHosts('putting the new values on all hosts', prepareRotation),
    deploy,
    ...(stepped
      ? [
          onHosts('putting the new values in force', commitRotation),
          deploy,
          onHosts('removing the old values', finishRotation),
        ]
      : []),
    ...(names.some(isAcceptedTwice) ? [deploy] : []),
  ];
  for (const step of steps) {
    const code = await step();
    if (code === exitCodes.done && !context.signal.aborted) continue;
    if (!context.json) printNotice(context, `${unfinishedText(names)}\n`);
    return code;
  }
  if (context.json) printJson(context, { result: 'done', secrets: names });
  else printText(context, `${context.colors.green('done')}: replaced ${names.join(', ')}\n`);
  return exitCodes.done;
}

function unfinishedText(names: readonly PrimarySecret[]): string {
  return `The replacement is not finished; the cluster goes on with what is valid. Continue with \`perijove secrets rotate ${names.join(' ')}\`.`;
}

/** With `--json`, a deployment that succeeds prints nothing. */
async function deployStep(
  context: CommandContext,
  { spec, names, temporal }: RotationOrder,
): Promise<number> {
  if (!context.json) return deployAndShow(context, spec, { temporal, rotates: names });
  const printed: string[] = [];
  const stdout = { write: (text: string) => printed.push(text) };
  const code = await deployAndShow({ ...context, stdout }, spec, { temporal, rotates: names });
  if (code !== exitCodes.done || context.signal.aborted) context.stdout.write(printed.join(''));
  return code;
}

/** Says what each replacement means, and asks. @throws PerijoveError ROTATION_NOT_CONFIRMED */
export async function confirmRotation(
  context: CommandContext,
  { spec, names }: Pick<RotationOrder, 'spec' | 'names'>,
  yes: boolean,
): Promise<void> {
  const { stdin, stdout, isTTY, json, signal } = context;
  if (!json) printText(context, rotationText(context, spec, names));
  if (yes) return;
  const notConfirmed = new PerijoveError('ROTATION_NOT_CONFIRMED', `no secret of ${spec.name} was replaced`);
  if (json || !isTTY || stdin.isTTY !== true) throw notConfirmed;
  stdout.write('Replace them? Type yes: ');
  if ((await answerOf(stdin, signal))?.trim() !== 'yes') throw notConfirmed;
}

function rotationText(context: CommandContext, spec: ClusterSpec, names: readonly PrimarySecret[]): string {
  const columns = textColumns(context);
  const nodesUser = (spec.nodes.user?.uid ?? 0) !== 0;
  const lines = [
    ...names.flatMap((name) => hanging(`${context.colors.bold(name)}: `, effectOf(name, nodesUser), columns)),
    ...hanging('', 'Each step is followed by a deployment of the spec, as `up` does it.', columns),
  ];
  return `${lines.join('\n')}\n`;
}
