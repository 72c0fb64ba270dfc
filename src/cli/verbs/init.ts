import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { exitCodes, PerijoveError } from '../../errors/error.js';
import { defineCommand } from '../command.js';
import { printJson, printText } from '../io.js';

const packageRoot = fileURLToPath(new URL('../../../', import.meta.url));
const examples = ['three-hosts', 'lab'] as const;

export const initCommand = defineCommand({
  name: 'init',
  summary: 'write a commented cluster.yaml',
  description: 'Writes an example to start from. Change its hosts and addresses, then run `perijove check`.',
  args: { file: { description: 'where to write it (default: cluster.yaml)', optional: true } },
  options: {
    example: {
      flags: '--example <name>',
      description: 'which one (default: three-hosts)',
      choices: examples,
    },
    force: { flags: '--force', description: 'replace a file that exists' },
  },
  async run(context, { args, options }) {
    const name = args.file ?? 'cluster.yaml';
    const file = path.resolve(context.cwd, name);
    const example = await readFile(
      path.join(packageRoot, 'examples', `${options.example ?? 'three-hosts'}.yaml`),
      'utf8',
    );
    const text = example.replace('../schema/cluster.schema.json', schemaFrom(path.dirname(file)));
    try {
      await writeFile(file, text, { flag: options.force ? 'w' : 'wx' });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST')
        throw new PerijoveError('FILE_EXISTS', `${name} already exists`, { file: name, cause: error });
      if (code === 'ENOENT' || code === 'EACCES' || code === 'EISDIR') {
        throw new PerijoveError('USAGE', `cannot write ${name} (${code})`, { file: name, cause: error });
      }
      throw error;
    }
    if (context.json) printJson(context, { file });
    else printText(context, `Wrote ${name}. Change its hosts and addresses, then run \`perijove check\`.\n`);
    return exitCodes.done;
  },
});

/** The schema's location for editors: in a package installed next to the file, else an absolute path. */
function schemaFrom(directory: string): string {
  const installed = 'node_modules/perijove/schema/cluster.schema.json';
  if (existsSync(path.join(directory, installed))) return `./${installed}`;
  return path.join(packageRoot, 'schema', 'cluster.schema.json');
}
