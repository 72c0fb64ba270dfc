import os from 'node:os';
import path from 'node:path';
import { homeDir } from '../../cluster/home.js';
import { exitCodes, PerijoveError } from '../../errors/error.js';
import type { UnitPlace } from '../../worker/install.js';
import { answerOf } from '../answer.js';
import { defineCommand, type CommandContext } from '../command.js';
import { knownHostsDir } from '../hosts.js';
import { printJson, printText } from '../io.js';
import { temporalOptions, temporalSettings, type TemporalChoice } from '../temporal.js';

const actions = ['install', 'uninstall'] as const;

interface WorkerChoice extends TemporalChoice {
  readonly metrics: string | undefined;
  readonly notify: string | undefined;
  readonly logLevel: string | undefined;
  readonly unversioned: boolean;
  readonly user: boolean;
  readonly print: boolean;
  readonly yes: boolean;
}

export const workerCommand = defineCommand({
  name: 'worker',
  summary: 'run a worker, which runs workflows and reaches the hosts over SSH',
  description:
    'Runs until Ctrl-C or SIGTERM, and logs JSON lines to stdout. With two workers on two machines the loss of ' +
    'one does no harm. Every worker must reach all hosts over SSH with the keys that the spec names. A worker ' +
    'waits while the Temporal server cannot be reached. After an exception that it did not expect, it hands its ' +
    'work over and exits with 75: start it again.\n\n' +
    '`perijove worker install` writes a systemd unit that does so, with the options and the settings of Temporal ' +
    'that it is given, and starts it. It is a unit of the system, and needs root (the worker runs as the user who ' +
    'calls sudo); with --user it is one of your own. `perijove worker uninstall` stops and removes it.',
  args: {
    action: { description: 'install or uninstall the systemd unit', optional: true, choices: actions },
  },
  options: {
    metrics: { flags: '--metrics <address>', description: 'serve Prometheus metrics at host:port' },
    notify: {
      flags: '--notify <file>',
      description: 'notify the receivers in this file of incidents and failed deployments',
    },
    logLevel: {
      flags: '--log-level <level>',
      description: 'least level that is logged (default: info)',
      choices: ['trace', 'debug', 'info', 'warn', 'error'],
    },
    unversioned: {
      flags: '--unversioned',
      description: 'do not report the release to the Temporal server, even if it tells releases apart',
    },
    user: { flags: '--user', description: 'with install, uninstall: a unit of this user, not of the system' },
    print: { flags: '--print', description: 'with install: print the unit, and change nothing' },
    yes: { flags: '-y, --yes', description: 'with install: do not ask' },
    ...temporalOptions,
  },
  onInterrupt: 'service',
  examples: [
    ['perijove worker', 'run a worker'],
    ['perijove worker install --user --temporal 10.0.0.5:7233', 'run one as your own service of systemd'],
  ],
  async run(context, { args, options }) {
    const { action } = args;
    if (action === 'install') return install(context, options);
    if (action === 'uninstall') return uninstall(context, options);
    if (action !== undefined) {
      throw new PerijoveError('USAGE', `unknown action: ${action}`, {
        remedy: 'See `perijove worker --help`.',
      });
    }
    const [{ runWorker }, { labFaults, startSuccessor }, { labMarker }] = await Promise.all([
      import('../../worker/main.js'),
      import('../../lab/faults.js'),
      import('../../lab/state.js'),
    ]);
    const receivers = await receiversIn(context, options);
    const stateDir = context.env[labMarker];
    const ended = await runWorker({
      ...temporalSettings(context, options),
      knownHostsDir: knownHostsDir(context.env),
      ...(options.metrics !== undefined && { metrics: options.metrics }),
      ...(receivers && { receivers }),
      ...(options.logLevel !== undefined && { logLevel: options.logLevel }),
      unversioned: options.unversioned,
      ...(stateDir !== undefined && { lab: labFaults(stateDir) }),
      signal: context.signal,
    });
    if (ended === 'stopped') return exitCodes.done;
    // Nobody else starts a worker of a lab again.
    if (stateDir !== undefined && !context.signal.aborted) await startSuccessor(stateDir);
    return exitCodes.startAgain;
  },
});

/** @throws PerijoveError NOTIFICATIONS_INVALID */
async function receiversIn({ cwd }: CommandContext, { notify }: WorkerChoice) {
  if (notify === undefined) return undefined;
  const { readReceivers } = await import('../../activities/receivers.js');
  return readReceivers(path.resolve(cwd, notify));
}

async function placeOf({ env }: CommandContext, { user }: WorkerChoice): Promise<UnitPlace> {
  const { unitPlace } = await import('../../worker/install.js');
  return unitPlace(user, env, user ? homeDir() : '');
}

async function install(context: CommandContext, options: WorkerChoice): Promise<number> {
  const { installUnit, requireSystemd } = await import('../../worker/install.js');
  await receiversIn(context, options);
  const place = await placeOf(context, options);
  const text = await unitText(context, options);
  if (options.print) {
    context.stdout.write(text);
    return exitCodes.done;
  }
  requireSystemd(place);
  if (!context.json) context.stdout.write(`${place.file}:\n\n${text}\n`);
  if (!options.yes && !(await isAgreed(context, 'Write, enable and start it?'))) return exitCodes.refused;
  await installUnit(place, text);
  if (context.json) printJson(context, { result: 'done', file: place.file, unit: text });
  else printText(context, installedText(place));
  return exitCodes.done;
}

function installedText({ manager }: UnitPlace): string {
  const user = manager.length > 0;
  const option = user ? ' --user' : '';
  return [
    'The worker runs, and is started again however it ends.',
    `See \`systemctl${option} status perijove-worker\` and \`journalctl${option} -u perijove-worker\`.`,
    ...(user ? ['Run `loginctl enable-linger` so that it also runs while you are not logged in.'] : []),
    '',
  ].join('\n');
}

async function uninstall(context: CommandContext, options: WorkerChoice): Promise<number> {
  const { requireSystemd, uninstallUnit } = await import('../../worker/install.js');
  const place = await placeOf(context, options);
  requireSystemd(place);
  const removed = await uninstallUnit(place);
  if (context.json) printJson(context, { result: 'done', file: place.file, removed });
  else
    printText(
      context,
      removed ? `removed ${place.file}\n` : `nothing to remove: ${place.file} does not exist\n`,
    );
  return exitCodes.done;
}

/** Asks on a terminal; without one the command itself is the consent. */
async function isAgreed(context: CommandContext, question: string): Promise<boolean> {
  const { stdin, stdout, isTTY, json, signal } = context;
  if (json || !isTTY || stdin.isTTY !== true) return true;
  stdout.write(`${question} [Y/n] `);
  const answer = await answerOf(stdin, signal);
  signal.throwIfAborted();
  return answer !== undefined && /^\s*(y|yes)?\s*$/i.test(answer);
}

const secrets = /^TEMPORAL_(API_KEY|TLS_.*_DATA|GRPC_META_.*)$/;

/** Settings that a service would not have. */
const kept = [
  'TEMPORAL_ADDRESS',
  'TEMPORAL_NAMESPACE',
  'TEMPORAL_PROFILE',
  'TEMPORAL_CONFIG_FILE',
  'TEMPORAL_TLS_CLIENT_CERT_PATH',
  'TEMPORAL_TLS_CLIENT_KEY_PATH',
  'TEMPORAL_TLS_SERVER_CA_CERT_PATH',
  'TEMPORAL_TLS_SERVER_NAME',
  'TEMPORAL_TLS',
  'PERIJOVE_PAYLOAD_KEYS',
  'XDG_CONFIG_HOME',
  'XDG_STATE_HOME',
];

async function unitText(context: CommandContext, options: WorkerChoice): Promise<string> {
  const { workerUnit } = await import('../../worker/unit.js');
  const { env } = context;
  const secret = Object.keys(env).find((name) => secrets.test(name) && env[name] !== '');
  if (secret !== undefined) {
    throw new PerijoveError(
      'WORKER_INSTALL_REFUSED',
      `${secret} is set, and a unit can be read by everybody`,
      {
        remedy: `Write it into a profile of the Temporal client, unset ${secret}, and pass --profile.`,
      },
    );
  }
  const set = kept.flatMap((name) => {
    const value = env[name] ?? '';
    if (value === '') return [];
    return [[name, /_(FILE|PATH|KEYS)$/.test(name) ? path.resolve(context.cwd, value) : value] as const];
  });
  const { metrics, notify, logLevel, temporal, profile, user } = options;
  const flags = {
    '--metrics': metrics,
    '--notify': notify === undefined ? undefined : path.resolve(context.cwd, notify),
    '--log-level': logLevel,
    '--temporal': temporal,
    '--profile': profile,
  };
  const given = [
    ...Object.entries(flags).flatMap(([flag, value]) => (value === undefined ? [] : [flag, value])),
    ...(options.unversioned ? ['--unversioned'] : []),
  ];
  const program = path.resolve(import.meta.dirname, '../../../bin/perijove.js');
  return workerUnit({
    command: [process.execPath, program, 'worker', ...given],
    environment: Object.fromEntries(set),
    ...(!user && { user: env['SUDO_USER'] ?? os.userInfo().username }),
  });
}
