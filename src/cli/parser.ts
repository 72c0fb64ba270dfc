/** Builds the parser, its help, and the call from command definitions. */
import { Argument, Command, CommanderError, Option } from 'commander';
import type { Colors } from 'picocolors/types.js';
import { PerijoveError } from '../errors/error.js';
import type { ArgumentDefinition, ArgumentValue, CommandDefinition, CommandGroup } from './command.js';
import { commandTable } from './table.js';

/** A verb listed in `perijove --help`; its module is loaded on use. */
export interface Verb {
  readonly name: string;
  readonly summary: string;
  /** Heading in the help. */
  readonly group: string;
  readonly load: () => Promise<CommandDefinition | CommandGroup>;
}

export interface Call {
  readonly definition: CommandDefinition;
  /** Without its arguments: `drill run`. */
  readonly command: string;
  readonly args: Readonly<Record<string, ArgumentValue>>;
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
  readonly json: boolean;
  readonly debug: boolean;
}

export interface ParserIo {
  readonly colors: Colors;
  readonly columns: number;
  readonly isTTY: boolean;
  readonly write: (text: string) => void;
}

/**
 * The call for `argv`; undefined for help or the version, which is printed.
 *
 * @throws PerijoveError USAGE
 */
export async function parse(
  argv: readonly string[],
  verbs: readonly Verb[],
  version: string,
  io: ParserIo,
): Promise<Call | undefined> {
  const used = new Set(argv.filter((word) => !word.startsWith('-')).slice(0, 2));
  const calls: Call[] = [];
  const groups = new Map<string, CommandGroup>();
  const program = new Command('perijove')
    .description(programDescription)
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .commandsGroup(verbs.at(-1)?.group ?? '')
    .helpCommand('help [command]', 'print help for a command')
    .addHelpText('after', '\nFor the details of a command, run `perijove <command> --help`.\n');
  prepare(program, io);
  for (const verb of verbs) {
    const definition = used.has(verb.name) ? await verb.load() : undefined;
    if (definition?.kind === 'group') groups.set(verb.name, definition);
    const command = program.command(verb.name).summary(verb.summary).helpGroup(verb.group);
    prepare(command, io);
    if (definition?.kind === 'group') defineSubcommands(command, definition, io, calls);
    else if (definition) define(command, definition, { path: verb.name, io, calls });
  }
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    throw usageError(error, argv, { verbs, groups });
  }
  return calls[0];
}

export const programDescription =
  'Deploys a Jupyter that never stays down, from one cluster.yaml and over SSH, and keeps it running.';

/** Wider paragraphs are hard to read. */
const widestHelp = 100;
const helpWidth = (columns: number) => Math.min(columns, widestHelp);

function prepare(command: Command, { colors, columns, isTTY, write }: ParserIo): void {
  command
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: write,
      // commander also throws its errors, which are rendered where all errors are.
      writeErr: () => undefined,
      getOutHelpWidth: () => helpWidth(columns),
      getOutHasColors: () => isTTY,
    })
    .configureHelp({ styleTitle: (title) => colors.bold(title), showGlobalOptions: false });
}

function defineSubcommands(command: Command, group: CommandGroup, io: ParserIo, calls: Call[]): void {
  command.description(group.description ?? sentence(group.summary)).helpCommand(false);
  for (const definition of group.commands) {
    const subcommand = command.command(definition.name).summary(definition.summary);
    prepare(subcommand, io);
    define(subcommand, definition, { path: `${group.name} ${definition.name}`, io, calls });
  }
}

function define(
  command: Command,
  definition: CommandDefinition,
  { path, io, calls }: { readonly path: string; readonly io: ParserIo; readonly calls: Call[] },
): void {
  const { summary, description, args, options, examples = [] } = definition;
  command.description(
    description === undefined ? sentence(summary) : `${sentence(summary)}\n\n${description}`,
  );
  for (const [name, argument] of Object.entries(args)) {
    command.addArgument(new Argument(argumentText(name, argument), argument.description));
  }
  for (const { flags, description: what, choices } of Object.values(options)) {
    const option = new Option(flags, what);
    command.addOption(choices ? option.choices(choices) : option);
  }
  command.option('--json', 'print JSON').option('--debug', 'print stacks of errors');
  if (examples.length > 0) {
    command.addHelpText('after', `\nExamples:\n${commandTable(examples, helpWidth(io.columns)).join('\n')}`);
  }
  command.action((...given: unknown[]) => {
    const { json, debug, ...values } = command.opts<Record<string, string | boolean | undefined>>();
    const names = Object.keys(args);
    calls.push({
      definition,
      command: path,
      args: Object.fromEntries(names.map((name, index) => [name, given[index] as ArgumentValue])),
      options: Object.fromEntries(
        Object.entries(options).map(([name, option]) => [
          name,
          values[name] ?? (takesValue(option.flags) ? undefined : false),
        ]),
      ),
      json: json === true,
      debug: debug === true,
    });
  });
}

/** `<host>`, `[file]` or `[command...]`, as in usage lines. */
export function argumentText(name: string, { optional, variadic }: ArgumentDefinition): string {
  const text = variadic ? `${name}...` : name;
  return optional ? `[${text}]` : `<${text}>`;
}

function takesValue(flags: string): boolean {
  return flags.includes('<');
}

export function sentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
}

/** Its remedy refers to the help of the deepest command recognized. */
function usageError(
  error: CommanderError,
  argv: readonly string[],
  { verbs, groups }: { readonly verbs: readonly Verb[]; readonly groups: ReadonlyMap<string, CommandGroup> },
): PerijoveError {
  const [name, subname] = argv.filter((word) => !word.startsWith('-'));
  const verb = verbs.find((each) => each.name === name);
  const subcommand = groups.get(verb?.name ?? '')?.commands.find((each) => each.name === subname);
  const words = ['perijove', verb?.name, subcommand?.name, '--help'];
  const help = words.filter((word) => word !== undefined).join(' ');
  const text = error.message.replace(/^error: /, '').replace(/\n/g, ' ');
  const message = error.code === 'commander.help' ? 'missing command' : text;
  return new PerijoveError('USAGE', message, { remedy: `See \`${help}\`.` });
}
