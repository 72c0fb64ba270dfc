/** Command definitions: data that `main.ts` turns into a parser, a help text and a call. */
import type { Colors } from 'picocolors/types.js';
import { colorsOf, type Io } from './io.js';

/** What a command may use of its process, and its output format. */
export interface CommandContext extends Io {
  readonly colors: Colors;
  /** `--json`: stdout contains only JSON. */
  readonly json: boolean;
  /** `--debug`: errors include their stack. */
  readonly debug: boolean;
  /** The command line, without `node` and the program's name. */
  readonly argv: readonly string[];
}

export function contextOf(io: Io, flags: Pick<CommandContext, 'json' | 'debug' | 'argv'>): CommandContext {
  return { ...io, json: flags.json, debug: flags.debug, argv: flags.argv, colors: colorsOf(io) };
}

export interface ArgumentDefinition {
  readonly description: string;
  readonly optional?: true;
  /** Only for the last one: takes all remaining arguments. */
  readonly variadic?: true;
  /** Offered by shell completion; the command itself checks the value. */
  readonly choices?: readonly string[];
}

export interface OptionDefinition {
  /** As shown in help: `-f, --file <file>`. */
  readonly flags: string;
  readonly description: string;
  /** Allowed values. */
  readonly choices?: readonly string[];
}

type ArgumentDefinitions = Readonly<Record<string, ArgumentDefinition>>;
type OptionDefinitions = Readonly<Record<string, OptionDefinition>>;

export type ArgumentValues<A extends ArgumentDefinitions> = {
  readonly [Key in keyof A]: A[Key] extends { readonly variadic: true }
    ? readonly string[]
    : A[Key] extends { readonly optional: true }
      ? string | undefined
      : string;
};

export type ArgumentValue = string | readonly string[] | undefined;

/** An option whose flags name a value is a string; any other is boolean. */
export type OptionValues<O extends OptionDefinitions> = {
  readonly [Key in keyof O]: O[Key]['flags'] extends `${string}<${string}` ? string | undefined : boolean;
};

export interface CommandInput<A extends ArgumentDefinitions, O extends OptionDefinitions> {
  readonly args: ArgumentValues<A>;
  readonly options: OptionValues<O>;
}

/** The values of a command line, before `defineCommand` types them. */
export interface RawInput {
  readonly args: Readonly<Record<string, ArgumentValue>>;
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
}

export interface CommandDefinition {
  readonly kind: 'command';
  readonly name: string;
  /** One line, in lower case and without a full stop. */
  readonly summary: string;
  /**
   * Whole sentences, printed in help below the summary. Wrapped there: line breaks only between paragraphs.
   */
  readonly description?: string;
  /** In command-line order. */
  readonly args: ArgumentDefinitions;
  /** Keyed by the long flag in camelCase. Every command also has `--json` and `--debug`. */
  readonly options: OptionDefinitions;
  /** Command lines with explanations, at the end of the help. */
  readonly examples?: readonly (readonly [line: string, what: string])[];
  /**
   * What Ctrl-C does, other than to give up what the command waits for: `orderly` commands have something to put in
   * order first, however long it takes, and Ctrl-C is how one that is a `service` ends when all is well.
   */
  readonly onInterrupt?: 'orderly' | 'service';
  /** Resolves to the exit code. What it throws is rendered in one place, with the exit code of its kind. */
  run(context: CommandContext, input: RawInput): Promise<number>;
}

/** A group of commands, such as `lab`. */
export interface CommandGroup {
  readonly kind: 'group';
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  readonly commands: readonly CommandDefinition[];
}

type TypedCommand<A extends ArgumentDefinitions, O extends OptionDefinitions> = Omit<
  CommandDefinition,
  'kind' | 'args' | 'options' | 'run'
> & {
  readonly args?: A;
  readonly options?: O;
  run(context: CommandContext, input: CommandInput<A, O>): Promise<number>;
};

/** Types `run` by its arguments and options. */
export function defineCommand<
  const A extends ArgumentDefinitions = Record<never, ArgumentDefinition>,
  const O extends OptionDefinitions = Record<never, OptionDefinition>,
>(command: TypedCommand<A, O>): CommandDefinition {
  return {
    args: {},
    options: {},
    ...command,
    kind: 'command',
    // The parser fills arguments and options as defined.
    run: (context, input) => command.run(context, input as CommandInput<A, O>),
  };
}

export function defineGroup(group: Omit<CommandGroup, 'kind'>): CommandGroup {
  return { ...group, kind: 'group' };
}
