/** Shell completion, from the same definitions as the parser and the help. Pure. */
import type { CommandDefinition, CommandGroup } from './command.js';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

interface Completion {
  readonly word: string;
  /** One line; empty for a value. */
  readonly what: string;
}

/** Command path (`drill run`; empty for the program itself) → possible next words. */
export type Completions = ReadonlyMap<string, readonly Completion[]>;

export function completions(definitions: readonly (CommandDefinition | CommandGroup)[]): Completions {
  const found = new Map<string, readonly Completion[]>();
  found.set('', [
    ...definitions.map(({ name, summary }) => ({ word: name, what: summary })),
    { word: 'help', what: 'print help for a command' },
  ]);
  for (const definition of definitions) {
    if (definition.kind === 'command') {
      found.set(definition.name, ofCommand(definition));
      continue;
    }
    const { name, commands } = definition;
    found.set(
      name,
      commands.map((each) => ({ word: each.name, what: each.summary })),
    );
    for (const each of commands) found.set(`${name} ${each.name}`, ofCommand(each));
  }
  return found;
}

function ofCommand({ args, options }: CommandDefinition): Completion[] {
  return [
    ...Object.values(args).flatMap(({ choices = [] }) => choices.map((word) => ({ word, what: '' }))),
    ...Object.values(options).map(({ flags, description }) => ({
      word: /--[\w-]+/.exec(flags)?.[0] ?? flags,
      what: description,
    })),
    { word: '--json', what: 'print JSON' },
    { word: '--debug', what: 'print stacks of errors' },
    { word: '--help', what: 'print help' },
  ];
}

/** The script that the shell reads at startup. */
export function completionScript(shell: Shell, found: Completions): string {
  return { bash, zsh, fish }[shell](found);
}

/** Quotes any text for all three shells. */
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
/** The command paths. */
const paths = (found: Completions) => [...found.keys()].filter((path) => path !== '');

function bash(found: Completions): string {
  const cases = [...found].map(
    ([path, words]) => `  ${quoted(path)}) words=${quoted(words.map(({ word }) => word).join(' '))} ;;`,
  );
  return `# Read by bash: eval "$(perijove completion bash)"
_perijove() {
  local current=\${COMP_WORDS[COMP_CWORD]} path= words= index
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "\${path:+$path }\${COMP_WORDS[index]}" in
    ${paths(found).map(quoted).join(' | ')}) path="\${path:+$path }\${COMP_WORDS[index]}" ;;
    esac
  done
  case $path in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _perijove perijove
`;
}

function zsh(found: Completions): string {
  const described = ({ word, what }: Completion) =>
    quoted(what === '' ? word : `${word}:${what.replaceAll(':', '\\:')}`);
  const cases = [...found].map(
    ([path, words]) => `  ${quoted(path)}) choices=(${words.map(described).join(' ')}) ;;`,
  );
  return `#compdef perijove
# Read by zsh: eval "$(perijove completion zsh)"
_perijove() {
  local at= index
  local -a choices
  for ((index = 2; index < CURRENT; index++)); do
    case "\${at:+$at }\${words[index]}" in
    ${paths(found).map(quoted).join(' | ')}) at="\${at:+$at }\${words[index]}" ;;
    esac
  done
  case $at in
${cases.join('\n')}
  esac
  _describe perijove choices || _files
}
compdef _perijove perijove
`;
}

function fish(found: Completions): string {
  const lines = [...found].flatMap(([path, words]) =>
    words.map(
      ({ word, what }) =>
        `complete -c perijove -n ${fishQuoted(`__perijove_at ${fishQuoted(path)}`)} -a ${fishQuoted(word)}${what === '' ? '' : ` -d ${fishQuoted(what)}`}`,
    ),
  );
  // No file can follow the program or a command group.
  const ofCommands = [...found.keys()].filter(
    (path) => path === '' || paths(found).some((other) => other.startsWith(`${path} `)),
  );
  const noFiles = ofCommands.map(
    (path) => `complete -c perijove -f -n ${fishQuoted(`__perijove_at ${fishQuoted(path)}`)}`,
  );
  return `# Read by fish: perijove completion fish | source
function __perijove_at
  set -l at ''
  for word in (commandline -opc)[2..-1]
    set -l next (string trim -- "$at $word")
    contains -- $next ${paths(found).map(fishQuoted).join(' ')}; and set at $next
  end
  test "$at" = "$argv[1]"
end
${[...noFiles, ...lines].join('\n')}
`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
