import { setMaxListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { errorCodes } from '../errors/codes.js';
import { exitCodes } from '../errors/error.js';
import { contextOf, type CommandContext } from './command.js';
import { colorsOf, printJson, processIo, type Io } from './io.js';
import { parse, type Call, type Verb } from './parser.js';
import { reportJson, reportOf, reportText, type Report } from './report.js';

const groups = { deploy: 'Deploy:', look: 'Look:', keep: 'Keep:', run: 'Run:' } as const;

/** Every verb, in the order of the help. */
export const verbs: readonly Verb[] = [
  {
    name: 'init',
    summary: 'write a commented cluster.yaml',
    group: groups.deploy,
    load: async () => (await import('./verbs/init.js')).initCommand,
  },
  {
    name: 'check',
    summary: 'check the spec and every host for what would block a deployment',
    group: groups.deploy,
    load: async () => (await import('./verbs/check.js')).checkCommand,
  },
  {
    name: 'plan',
    summary: 'print what `up` would change, and change nothing',
    group: groups.deploy,
    load: async () => (await import('./verbs/plan.js')).planCommand,
  },
  {
    name: 'up',
    summary: 'bring the cluster to what the spec says',
    group: groups.deploy,
    load: async () => (await import('./verbs/up.js')).upCommand,
  },
  {
    name: 'down',
    summary: 'stop the cluster',
    group: groups.deploy,
    load: async () => (await import('./verbs/down.js')).downCommand,
  },
  {
    name: 'status',
    summary: 'print who leads, what runs where, and what is down',
    group: groups.look,
    load: async () => (await import('./verbs/status.js')).statusCommand,
  },
  {
    name: 'logs',
    summary: 'print the log of a service or a node',
    group: groups.look,
    load: async () => (await import('./verbs/logs.js')).logsCommand,
  },
  {
    name: 'ssh',
    summary: 'open a shell on a host or a node',
    group: groups.look,
    load: async () => (await import('./verbs/ssh.js')).sshCommand,
  },
  {
    name: 'open',
    summary: 'open Jupyter, Temporal or Mesos in the browser',
    group: groups.look,
    load: async () => (await import('./verbs/open.js')).openCommand,
  },
  {
    name: 'events',
    summary: 'follow the events of the keeper, of Mesos and of its tasks',
    group: groups.look,
    load: async () => (await import('./verbs/events.js')).eventsCommand,
  },
  {
    name: 'move',
    summary: 'move Jupyter and leadership to a node, without a failed request',
    group: groups.keep,
    load: async () => (await import('./verbs/move.js')).moveCommand,
  },
  {
    name: 'pause',
    summary: 'suspend automatic moves and repairs, for maintenance',
    group: groups.keep,
    load: async () => (await import('./verbs/pause.js')).pauseCommand,
  },
  {
    name: 'resume',
    summary: 'resume automatic moves and repairs',
    group: groups.keep,
    load: async () => (await import('./verbs/pause.js')).resumeCommand,
  },
  {
    name: 'fence',
    summary: 'declare a host dead, so that its nodes are launched elsewhere',
    group: groups.keep,
    load: async () => (await import('./verbs/fence.js')).fenceCommand,
  },
  {
    name: 'worker',
    summary: 'run a worker, which runs workflows and reaches the hosts over SSH',
    group: groups.run,
    load: async () => (await import('./verbs/worker.js')).workerCommand,
  },
  {
    name: 'lab',
    summary: 'run a whole cluster on this machine',
    group: groups.run,
    load: async () => (await import('./verbs/lab.js')).labCommand,
  },
  {
    name: 'drill',
    summary: 'inject a fault and measure how the cluster recovers',
    group: groups.run,
    load: async () => (await import('./verbs/drill.js')).drillCommand,
  },
];

/**
 * Runs one command line (without `node` and the program's name) and resolves to its exit code; `docs/errors.md`
 * lists them. Never rejects. Without `io` it is this process that it reads, writes and listens to for signals.
 */
export async function main(argv: readonly string[], io?: Partial<Io>): Promise<number> {
  const interrupt = io?.signal ? undefined : listenForSignals();
  const whole: Io = { ...processIo(interrupt?.signal ?? new AbortController().signal), ...io };
  let context: CommandContext = contextOf(whole, {
    json: argv.includes('--json'),
    debug: argv.includes('--debug'),
  });
  let call: Call | undefined;
  try {
    const words = argv.length === 0 ? ['--help'] : argv;
    call = await parse(words, verbs, packageVersion(), {
      colors: colorsOf(whole),
      columns: whole.columns,
      isTTY: whole.isTTY,
      write: (text) => whole.stdout.write(text),
    });
    if (!call) return argv.length === 0 ? exitCodes.usage : exitCodes.done;
    context = contextOf(whole, call);
    return await call.definition.run(context, { args: call.args, options: call.options });
  } catch (thrown) {
    const report = withHelpOf(call, reportOf(thrown));
    if (context.json) printJson(context, { error: reportJson(report, context.debug) });
    else context.stderr.write(reportText(report, context.colors, context.debug));
    return report.exitCode;
  } finally {
    interrupt?.end();
  }
}

/** Where nothing better is known about a wrong command line than the program's help, that of the command. */
function withHelpOf(call: Call | undefined, report: Report): Report {
  const { remedy } = errorCodes.USAGE;
  if (call === undefined || report.code !== 'USAGE' || report.remedy !== remedy) return report;
  return { ...report, remedy: `See \`perijove ${call.command} --help\`.` };
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** 128 + the number of SIGINT, as shells have it. */
const interruptedExitCode = 130;

/** The first Ctrl-C (or SIGTERM) asks the command to stop; a second one ends the process. */
function listenForSignals(): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  // Each command on a host listens to it, and there may be many hosts.
  setMaxListeners(0, controller.signal);
  const stop = () => {
    if (controller.signal.aborted) process.exit(interruptedExitCode);
    controller.abort();
  };
  // `perijove status | head` ends stdout early, which is no error.
  const endEarly = (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitCodes.done);
    throw error;
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  process.stdout.on('error', endEarly);
  return {
    signal: controller.signal,
    end: () => {
      process.off('SIGINT', stop).off('SIGTERM', stop);
      process.stdout.off('error', endEarly);
    },
  };
}
