import { exitCodes, PerijoveError } from '../../errors/error.js';
import { choices } from '../../cluster/nearest.js';
import { defineCommand } from '../command.js';
import { completionScript, completions, shells } from '../completion.js';
import { printJson } from '../io.js';
import type { Verb } from '../parser.js';

/** The command that completes these verbs. */
export const completionCommand = (verbs: readonly Verb[]) =>
  defineCommand({
    name: 'completion',
    summary: 'print a script that completes commands in your shell',
    description: 'Add the line of the example to the start-up file of your shell.',
    args: { shell: { description: 'bash, zsh or fish', choices: shells } },
    examples: [
      ['eval "$(perijove completion bash)"', 'in ~/.bashrc; for zsh in ~/.zshrc'],
      ['perijove completion fish | source', 'in ~/.config/fish/config.fish'],
    ],
    async run(context, { args }) {
      const shell = shells.find((each) => each === args.shell);
      if (shell === undefined) {
        throw new PerijoveError('USAGE', `unknown shell \`${args.shell}\``, {
          remedy: choices(args.shell, shells),
        });
      }
      const found = completions(await Promise.all(verbs.map(({ load }) => load())));
      const script = completionScript(shell, found);
      if (context.json) printJson(context, { shell, script });
      else context.stdout.write(script);
      return exitCodes.done;
    },
  });
