/** The manual page, from the same definitions as the parser and the help. Pure. */
import { exitCodes, exitMeanings } from '../errors/error.js';
import type { CommandDefinition, CommandGroup } from './command.js';
import { argumentText, sentence } from './parser.js';

const environment: readonly (readonly [name: string, what: string])[] = [
  ['PERIJOVE_FILE', 'The spec, where no --file is given.'],
  ['PERIJOVE_SSH_PASSPHRASE', 'Passphrase of the private key that the spec names.'],
  ['PERIJOVE_TEMPORAL_UI', 'Address of the Temporal Web UI, for `perijove open temporal`.'],
  ['PERIJOVE_TOOLS', 'A directory with bin/temporal and bin/jupyter-lab, for `perijove lab up`.'],
  ['TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE', 'The Temporal server.'],
  ['XDG_STATE_HOME', 'Where known host keys and the lab are kept (default: ~/.local/state).'],
  ['NO_COLOR', 'Print no colours.'],
];

/** A page in the macros of man(7). */
export function manPage(
  definitions: readonly (CommandDefinition | CommandGroup)[],
  { version, description }: { readonly version: string; readonly description: string },
): string {
  const lines = [
    `.\\" Generated from src/cli by \`npm run generate\`.`,
    `.TH PERIJOVE 1 "" "perijove ${version}" "User Commands"`,
    '.SH NAME',
    'perijove \\- deploy and keep a Jupyter that never stays down',
    '.SH SYNOPSIS',
    '.B perijove',
    '.I command',
    '.RI [ options ]',
    '.SH DESCRIPTION',
    text(description),
    '.PP',
    text('Every command has --json, which prints JSON, --debug, which prints stacks of errors, and --help.'),
    '.SH COMMANDS',
    ...definitions.flatMap((definition) =>
      definition.kind === 'command'
        ? commandLines(definition, definition.name)
        : [
            ...heading(definition.name),
            text(definition.description ?? sentence(definition.summary)),
            ...definition.commands.flatMap((each) => commandLines(each, `${definition.name} ${each.name}`)),
          ],
    ),
    '.SH EXIT STATUS',
    ...Object.entries(exitMeanings).flatMap(([name, meaning]) =>
      item(String(exitCodes[name as keyof typeof exitCodes]), meaning),
    ),
    '.SH ENVIRONMENT',
    ...environment.flatMap(([name, what]) => item(name, what)),
    '.SH SEE ALSO',
    text('The documentation in docs/: the keys of cluster.yaml, operations, and all error codes.'),
  ];
  return `${lines.join('\n')}\n`;
}

function heading(title: string): string[] {
  return [`.SS ${quoted(title)}`];
}

function commandLines(
  { summary, description, args, options, examples = [] }: CommandDefinition,
  path: string,
) {
  const operands = Object.entries(args).map(([name, argument]) => argumentText(name, argument));
  return [
    ...heading([path, ...operands].join(' ')),
    text(sentence(summary)),
    ...(description === undefined ? [] : description.split('\n\n').flatMap((each) => ['.PP', text(each)])),
    ...Object.entries(args).flatMap(([name, argument]) =>
      item(argumentText(name, argument), argument.description),
    ),
    ...Object.values(options).flatMap(({ flags, description: what, choices }) =>
      item(flags, choices === undefined ? what : `${what}; one of ${choices.join(', ')}`),
    ),
    ...examples.flatMap(([example, what]) => [
      '.PP',
      text(`${sentence(what)}`),
      '.PP',
      '.in +4n',
      '.nf',
      text(example),
      '.fi',
      '.in',
    ]),
  ];
}

/** A term in bold, with its description indented below. */
function item(term: string, what: string): string[] {
  return ['.TP', `.B ${quoted(term)}`, text(what)];
}

/** An argument of a macro. */
function quoted(words: string): string {
  return `"${text(words).replaceAll('"', '\\(dq')}"`;
}

/** Plain text with commands in bold; escapes backslashes, hyphens and leading dots (groff_man_style(7)). */
function text(plain: string): string {
  return plain
    .replaceAll('\\', '\\e')
    .replaceAll(/`([^`]+)`/g, '\\fB$1\\fR')
    .replaceAll('-', '\\-')
    .replaceAll('~', '\\(ti')
    .replaceAll('^', '\\(ha')
    .replace(/^(?=[.'])/gm, '\\&');
}
