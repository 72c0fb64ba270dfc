import path from 'node:path';
import { exitCodes, PerijoveError } from '../../errors/error.js';
import type { LabStatus } from '../../lab/status.js';
import { labStateDir } from '../../lab/state.js';
import type { RunningLab } from '../../lab/up.js';
import { hostsWithRole, proxyUrl } from '../../cluster/spec.js';
import { answerOf } from '../answer.js';
import { defineCommand, defineGroup, type CommandContext } from '../command.js';
import { printJson, printText, textColumns, textFor } from '../io.js';
import { count } from '../progress-view.js';
import { labSubnet } from '../../lab/spec.js';
import { pageRecordFile } from '../status-page.js';
import { commandTable, table } from '../table.js';
import { loginUrl } from '../../ui/access.js';
import { deployAndShow } from './up.js';

const stateDirOption = {
  flags: '--state-dir <dir>',
  description: 'directory of the lab (default: ~/.local/state/perijove/lab, or below $XDG_STATE_HOME)',
} as const;

const upCommand = defineCommand({
  name: 'up',
  summary: 'start a lab and deploy its cluster',
  description:
    'Lists the programs that are missing and, once confirmed, installs them. Starts three hosts (each an sshd ' +
    'with its own directory), a Temporal server, two workers and the status page, then deploys the cluster. ' +
    'Everything keeps running after the command returns. Run it again to resume, also after `perijove lab down` ' +
    'or a reboot.',
  options: {
    stateDir: stateDirOption,
    subnet: { flags: '--subnet <127.K>', description: 'first two numbers of all addresses (default: 127.0)' },
    file: {
      flags: '-f, --file <file>',
      description: 'spec to use in place of examples/lab.yaml; it replaces that of the lab',
    },
    yes: { flags: '-y, --yes', description: 'install missing programs without asking' },
  },
  onInterrupt: 'orderly',
  examples: [
    ['perijove lab up', 'the lab of this user'],
    ['perijove lab up --subnet 127.7 --state-dir ./second', 'a second lab'],
  ],
  async run(context, { options }) {
    const report = reporter(context);
    const stateDir = labStateDir(options.stateDir, context.env);
    if (options.subnet !== undefined) labSubnet(options.subnet);
    report(`starting the lab in ${stateDir}`);
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
      temporal: { address: lab.address, namespace: 'default', signal: context.signal },
    });
    if (code === exitCodes.done && !context.signal.aborted && !context.json) {
      context.stdout.write(await nextSteps(context, lab, options.stateDir));
    }
    return code;
  },
});

const downCommand = defineCommand({
  name: 'down',
  summary: 'stop the lab',
  description:
    'Stops the workers, the hosts with everything that runs on them, and the Temporal server. Their data stays ' +
    'in the state directory, and `perijove lab up` resumes from it with the same notebooks. With --purge all ' +
    'processes, files and notebooks of the lab are removed.',
  onInterrupt: 'orderly',
  options: {
    stateDir: stateDirOption,
    purge: { flags: '--purge', description: 'also remove all files and notebooks of the lab' },
  },
  async run(context, { options }) {
    const report = reporter(context);
    const stateDir = labStateDir(options.stateDir, context.env);
    report(`stopping the lab in ${stateDir}`);
    const { stopLab } = await import('../../lab/down.js');
    await stopLab({ stateDir, purge: options.purge, report });
    if (context.json) printJson(context, { result: 'done' });
    else if (!options.purge) {
      const option = stateDirText(options.stateDir);
      const commands = commandTable(
        [
          [`${context.program} lab up${option}`, 'resume it'],
          [`${context.program} lab down --purge${option}`, 'remove it'],
        ],
        textColumns(context),
      );
      const lines = ['The lab is stopped; its data and notebooks are kept.', ...commands, ''];
      context.stdout.write(lines.join('\n'));
    }
    return exitCodes.done;
  },
});

const hostArgument = { host: { description: 'name of the host, such as h2' } } as const;

const crashCommand = defineCommand({
  name: 'crash',
  summary: 'kill every process of a host, as a power cut does',
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
    else printText(context, `${args.host}: killed ${count(killed, 'process', 'processes')}\n`);
    return exitCodes.done;
  },
});

const bootCommand = defineCommand({
  name: 'boot',
  summary: 'start the sshd and the services of a host',
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
    else printText(context, `${args.host}: up\n`);
    return exitCodes.done;
  },
});

const statusCommand = defineCommand({
  name: 'status',
  summary: 'print the processes of the lab (for the cluster: `perijove status`)',
  options: { stateDir: stateDirOption },
  async run(context, { options }) {
    const { labStatus } = await import('../../lab/status.js');
    const status = await labStatus(labStateDir(options.stateDir, context.env));
    if (context.json) printJson(context, status);
    else printText(context, statusText(status, context));
    return exitCodes.done;
  },
});

export const labCommand = defineGroup({
  name: 'lab',
  summary: 'run a whole cluster on this machine',
  description:
    'A lab is a cluster of three hosts on this machine. Each host is an sshd with its own directory, on a ' +
    'loopback address.',
  commands: [upCommand, downCommand, crashCommand, bootCommand, statusCommand],
});

/** Reports a lab's steps; with --json on stderr. */
function reporter(context: CommandContext): (line: string) => void {
  const out = context.json ? context.stderr : context.stdout;
  return (line) => out.write(textFor(context, `${line}\n`));
}

/** After Ctrl-C, a failure of `work` is its consequence. */
async function interruptible<T>(context: CommandContext, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!context.signal.aborted) throw thrown;
    throw new PerijoveError('CANCELLED', 'the start of the lab was interrupted', {
      remedy: 'Run `perijove lab up` again: it resumes where it stopped.',
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

/** The option to add to commands for a lab other than the default. */
function stateDirText(stateDir: string | undefined): string {
  return stateDir === undefined ? '' : ` --state-dir ${stateDir}`;
}

/** How to reach the lab, and the next commands. */
async function nextSteps(
  context: CommandContext,
  { spec, specFile, ui }: RunningLab,
  stateDir: string | undefined,
): Promise<string> {
  const [{ leadingMaster }, { directReach }, { readRecord }] = await Promise.all([
    import('../../mesos/masters/detector.js'),
    import('../../ssh/reach.js'),
    import('../../ui/record.js'),
  ]);
  const record = await readRecord(pageRecordFile(spec, specFile, context.env));
  const leader = await leadingMaster(directReach, spec).catch(() => undefined);
  const proxies = hostsWithRole(spec, 'proxy').map((host) => proxyUrl(spec, host));
  const file = stateDir === undefined ? '' : ` --file ${path.relative(context.cwd, specFile)}`;
  const columns = textColumns(context);
  const addresses = [
    ['Jupyter', proxies.join('  ')],
    ...(record ? [['status page', loginUrl(record.origin, record.token)]] : []),
    ['Temporal', ui],
    ...(leader ? [['Mesos', `http://${leader.address.ip}:${leader.address.port}`]] : []),
  ];
  const commands = commandTable(
    [
      [`${context.program} open jupyter --url${file}`, 'print the addresses of Jupyter with the token'],
      [`${context.program} status${file}`, 'show the cluster'],
      [`${context.program} drill run node-kill${file}`, "kill the leader's node and watch the recovery"],
      [`${context.program} lab down${stateDirText(stateDir)}`, 'stop the lab'],
    ],
    columns,
  );
  return ['', ...table(addresses, columns), '', ...commands, ''].join('\n');
}

function statusText(
  { name, stateDir, notebooks, temporal, workers, hosts }: LabStatus,
  context: CommandContext,
): string {
  const { colors } = context;
  const state = (up: boolean) => (up ? colors.green('up') : colors.red('down'));
  const rows = [
    ['lab', name, stateDir],
    ['Temporal', state(temporal?.up === true), temporal?.ui ?? ''],
    ['workers', state(workers.length > 0), workers.map(({ pid }) => pid).join(' ')],
    ...hosts.map((host) => [host.name, state(host.up), host.address]),
    ['notebooks', '', notebooks === null ? 'the spec cannot be read' : `run as ${notebooks.who}`],
  ];
  return `${table(rows, textColumns(context)).join('\n')}\n`;
}
