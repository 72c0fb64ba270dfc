import { exitCodes, PerijoveError } from '../../errors/error.js';
import type { LabStatus } from '../../lab/status.js';
import { labStateDir } from '../../lab/state.js';
import type { RunningLab } from '../../lab/up.js';
import { hostsWithRole } from '../../cluster/spec.js';
import { answerOf } from '../answer.js';
import { defineCommand, defineGroup, type CommandContext } from '../command.js';
import { printJson } from '../io.js';
import { table } from '../table.js';
import { deployAndShow } from './up.js';

const stateDirOption = {
  flags: '--state-dir <dir>',
  description: "the lab's directory (default: $XDG_STATE_HOME/perijove/lab, or ~/.local/state/perijove/lab)",
} as const;

const upCommand = defineCommand({
  name: 'up',
  summary: 'start a lab, and deploy its cluster',
  description:
    'Installs what is missing, after saying what and asking; starts three hosts (each an sshd with a directory of\n' +
    'its own), a Temporal server and two workers; deploys; returns, and leaves all of it running. Run it again to\n' +
    'go on from where it was ended.',
  options: {
    stateDir: stateDirOption,
    subnet: { flags: '--subnet <127.K>', description: 'first two numbers of all addresses (default: 127.0)' },
    file: {
      flags: '-f, --file <file>',
      description: "another spec than examples/lab.yaml; it replaces the lab's own",
    },
    yes: { flags: '-y, --yes', description: 'install what is missing without asking' },
  },
  examples: [
    ['perijove lab up', 'the lab of this user'],
    ['perijove lab up --subnet 127.7 --state-dir ./second', 'another one beside it'],
  ],
  async run(context, { options }) {
    const report = reporter(context);
    const stateDir = labStateDir(options.stateDir, context.env);
    const lab = await interruptible(context, async () => {
      const { ensurePrerequisites } = await import('../../lab/prerequisites.js');
      const { startLab } = await import('../../lab/up.js');
      const { stdin, isTTY, json, signal } = context;
      const tools = await ensurePrerequisites({
        report,
        yes: options.yes,
        signal,
        ...(isTTY && stdin.isTTY === true && !json && { ask: (question) => ask(context, question) }),
      });
      return startLab({
        stateDir,
        ...(options.subnet !== undefined && { subnet: options.subnet }),
        ...(options.file !== undefined && { file: options.file }),
        tools,
        report,
        signal,
      });
    });
    const code = await deployAndShow(context, lab.spec, {
      temporal: { address: lab.address, namespace: 'default' },
    });
    if (code === exitCodes.done && !context.signal.aborted && !context.json) {
      context.stdout.write(await whereItIs(lab, options.stateDir));
    }
    return code;
  },
});

const downCommand = defineCommand({
  name: 'down',
  summary: 'end the lab',
  description:
    'Ends its workers, its hosts with all that runs on them, and its Temporal server. What they know stays in the\n' +
    'state directory, and `lab up` resumes. With --purge no process, file or notebook of it stays.',
  options: {
    stateDir: stateDirOption,
    purge: { flags: '--purge', description: 'remove its files and notebooks, too' },
  },
  async run(context, { options }) {
    const { stopLab } = await import('../../lab/down.js');
    const stateDir = labStateDir(options.stateDir, context.env);
    await stopLab({ stateDir, purge: options.purge, report: reporter(context) });
    if (context.json) printJson(context, { result: 'done' });
    return exitCodes.done;
  },
});

const hostArgument = { host: { description: 'name of the host, such as h2' } } as const;

const crashCommand = defineCommand({
  name: 'crash',
  summary: 'kill every process of a host at once',
  args: hostArgument,
  options: { stateDir: stateDirOption },
  async run(context, { args, options }) {
    const [{ crashHost }, { labHost }] = await Promise.all([
      import('../../lab/machine.js'),
      import('../../lab/status.js'),
    ]);
    const stateDir = labStateDir(options.stateDir, context.env);
    const killed = await crashHost(stateDir, labHost(stateDir, args.host));
    if (context.json) printJson(context, { host: args.host, killed });
    else context.stdout.write(`${args.host}: killed ${killed} processes\n`);
    return exitCodes.done;
  },
});

const bootCommand = defineCommand({
  name: 'boot',
  summary: 'start a host again: its sshd and its services',
  args: hostArgument,
  options: { stateDir: stateDirOption },
  async run(context, { args, options }) {
    const [{ bootHost }, { labHost }] = await Promise.all([
      import('../../lab/machine.js'),
      import('../../lab/status.js'),
    ]);
    const stateDir = labStateDir(options.stateDir, context.env);
    await bootHost(stateDir, labHost(stateDir, args.host));
    if (context.json) printJson(context, { host: args.host, up: true });
    else context.stdout.write(`${args.host}: up\n`);
    return exitCodes.done;
  },
});

const statusCommand = defineCommand({
  name: 'status',
  summary: 'print what of the lab runs; `perijove status` is about the cluster in it',
  options: { stateDir: stateDirOption },
  async run(context, { options }) {
    const { labStatus } = await import('../../lab/status.js');
    const status = labStatus(labStateDir(options.stateDir, context.env));
    if (context.json) printJson(context, status);
    else context.stdout.write(statusText(status, context));
    return exitCodes.done;
  },
});

export const labCommand = defineGroup({
  name: 'lab',
  summary: 'run a whole cluster on this machine',
  description:
    'A lab has three hosts, each an sshd with a directory of its own, on loopback addresses of this machine.',
  commands: [upCommand, downCommand, crashCommand, bootCommand, statusCommand],
});

/** Where the steps of a lab are told: never between the JSON. */
function reporter(context: CommandContext): (line: string) => void {
  const out = context.json ? context.stderr : context.stdout;
  return (line) => out.write(`${line}\n`);
}

/** After Ctrl-C whatever `work` fails with is but a consequence. */
async function interruptible<T>(context: CommandContext, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!context.signal.aborted) throw thrown;
    throw new PerijoveError('CANCELLED', 'The start of the lab was interrupted.', {
      remedy: 'Run `perijove lab up` again: it goes on from there.',
      cause: thrown,
    });
  }
}

async function ask(context: CommandContext, question: string): Promise<boolean> {
  context.stdout.write(`${question} [Y/n] `);
  const answer = await answerOf(context.stdin, context.signal);
  context.signal.throwIfAborted();
  return answer !== undefined && /^\s*(y|yes)?\s*$/i.test(answer);
}

/** What a person does next with a lab that is up. */
async function whereItIs({ spec, ui }: RunningLab, stateDir: string | undefined): Promise<string> {
  const [{ leadingMaster }, { directReach }] = await Promise.all([
    import('../../mesos/masters/detector.js'),
    import('../../ssh/reach.js'),
  ]);
  const leader = await leadingMaster(directReach, spec).catch(() => undefined);
  const proxies = hostsWithRole(spec, 'proxy').map(
    ({ address, ports }) => `http://${address}:${ports.proxy}`,
  );
  const option = stateDir === undefined ? '' : ` --file ${labStateDir(stateDir)}/cluster.yaml`;
  return [
    '',
    `Temporal  ${ui}`,
    ...(leader ? [`Mesos     http://${leader.address.ip}:${leader.address.port}`] : []),
    `Jupyter   ${proxies.join('  ')}`,
    '',
    `With its token: perijove open jupyter --url${option}`,
    '',
  ].join('\n');
}

function statusText(
  { name, stateDir, temporal, workers, hosts }: LabStatus,
  { colors }: CommandContext,
): string {
  const state = (up: boolean) => (up ? colors.green('up') : colors.red('down'));
  return `${table([
    ['lab', name, stateDir],
    ['temporal', state(temporal?.up === true), temporal?.ui ?? ''],
    ['workers', state(workers.length > 0), workers.map(({ pid }) => pid).join(' ')],
    ...hosts.map((host) => [host.name, state(host.up), host.address]),
  ]).join('\n')}\n`;
}
