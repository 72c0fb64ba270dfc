import { setMaxListeners } from 'node:events';
import { errorCodes } from '../errors/codes.js';
import { exitCodes, messageOf, type PerijoveError } from '../errors/error.js';
import { contextOf, type CommandContext } from './command.js';
import { interruptible, interruptionOf } from './interrupt.js';
import { withReport } from './internal-report.js';
import { colorsOf, printJson, printNotice, processIo, type Io } from './io.js';
import { parse, type Call } from './parser.js';
import { reportJson, reportOf, printReport, type Report } from './report.js';
import { verbs } from './verbs.js';
import { versionText } from './version.js';

/**
 * Runs one command line (without `node` and the program's name) and resolves to its exit code; see
 * `docs/reference/errors.md`. Never rejects. Without `io` it uses the streams and signals of this process.
 */
export async function main(argv: readonly string[], io?: Partial<Io>): Promise<number> {
  const interrupt = io?.signal ? undefined : listenForSignals();
  const whole: Io = { ...processIo(interrupt?.signal ?? new AbortController().signal), ...io };
  let context: CommandContext = contextOf(whole, {
    json: argv.includes('--json'),
    debug: argv.includes('--debug'),
    argv,
  });
  let call: Call | undefined;
  try {
    const words = argv.length === 0 ? ['--help'] : argv;
    call = await parse(words, verbs, versionText(), {
      colors: colorsOf(whole),
      columns: whole.columns,
      isTTY: whole.isTTY,
      write: (text) => whole.stdout.write(text),
    });
    if (!call) return argv.length === 0 ? exitCodes.usage : exitCodes.done;
    context = contextOf(whole, { ...call, argv });
    whole.signal.throwIfAborted();
    const { definition, args, options } = call;
    const code = await interruptible(definition.run(context, { args, options }), definition, whole.signal);
    const isInterrupted = whole.signal.aborted && definition.onInterrupt !== 'service';
    return isInterrupted && code === exitCodes.done ? exitCodes.interrupted : code;
  } catch (thrown) {
    if (whole.signal.aborted) return interrupted(context, interruptionOf(thrown));
    const report = await withReport(context, withHelpOf(call, reportOf(thrown)));
    if (context.json) printJson(context, { error: reportJson(report, context.debug) });
    else {
      printReport(context, report);
    }
    return report.exitCode;
  } finally {
    interrupt?.end();
  }
}

/** One line: everybody knows what they did. */
function interrupted(context: CommandContext, error: PerijoveError): number {
  if (context.json) printJson(context, { error: reportJson(reportOf(error), context.debug) });
  else {
    const hint = error.remedy === errorCodes.INTERRUPTED.remedy ? '' : `. ${error.remedy}`;
    printNotice(context, `${error.message}${hint}\n`);
  }
  return exitCodes.interrupted;
}

/** A usage error without a specific remedy refers to the help of the command. */
function withHelpOf(call: Call | undefined, report: Report): Report {
  const { remedy } = errorCodes.USAGE;
  if (call === undefined || report.code !== 'USAGE' || report.remedy !== remedy) return report;
  return { ...report, remedy: `See \`perijove ${call.command} --help\`.` };
}

/** The first Ctrl-C (or SIGTERM) asks the command to stop; a second one ends the process. */
function listenForSignals(): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  // Each command on a host adds a listener, and there may be many hosts.
  setMaxListeners(0, controller.signal);
  const stop = () => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted);
    controller.abort();
  };
  // `perijove status | head` closes stdout early, which is not an error. It may be noticed only after the
  // last write, so the listener stays.
  const endEarly = (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitCodes.done);
    process.stderr.write(`error: cannot write the output: ${messageOf(error)}\n`);
    process.exit(exitCodes.failed);
  };
  // Without a reader of the errors, the exit code still tells.
  const endUnheard = () => process.exit(exitCodes.failed);
  process.on('SIGINT', stop).on('SIGTERM', stop);
  process.stdout.on('error', endEarly);
  process.stderr.on('error', endUnheard);
  return {
    signal: controller.signal,
    end: () => {
      process.off('SIGINT', stop).off('SIGTERM', stop);
    },
  };
}
