import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { exitCodes, PerijoveError } from '../../errors/error.js';
import { parseSpec } from '../../cluster/load.js';
import { SpecError } from '../../cluster/problem.js';
import { defineCommand, type CommandContext } from '../command.js';
import { firstSpec, type FirstSpec } from '../first-spec.js';
import { printJson, printText } from '../io.js';
import { askForSpec } from '../spec-questions.js';

const packageRoot = fileURLToPath(new URL('../../../', import.meta.url));
const examples = ['origin', 'three-hosts', 'lab'] as const;

export const initCommand = defineCommand({
  name: 'init',
  summary: 'write a commented cluster.yaml',
  description:
    'With `--hosts` and `--mesos`, writes a spec for bare Debian hosts: Docker nodes in a VXLAN, notebooks on a ' +
    'GlusterFS volume. Without them, asks for them on a terminal. With `--example`, writes an example to start from: ' +
    'change its hosts and addresses. Then run `perijove check`.',
  args: { file: { description: 'where to write it (default: cluster.yaml)', optional: true } },
  options: {
    example: {
      flags: '--example <name>',
      description: 'an example instead; origin is three-hosts, with a network and a storage that exist',
      choices: examples,
    },
    hosts: {
      flags: '--hosts <list>',
      description: 'addresses of the hosts, such as 10.0.0.11,10.0.0.12,10.0.0.13, or NAME=ADDRESS for each',
    },
    mesos: {
      flags: '--mesos <source>',
      description: 'where Mesos comes from: package:NAME, path:DIRECTORY, image:NAME, or lab (the stand-in)',
    },
    user: { flags: '--user <name>', description: 'with --hosts: the SSH user (default: root)' },
    network: {
      flags: '--network <name>',
      description: 'with --hosts: an existing Docker network of all hosts (default: a VXLAN)',
    },
    storage: {
      flags: '--storage <directory>',
      description: 'with --hosts: a directory that all hosts share (default: a GlusterFS volume)',
    },
    force: { flags: '--force', description: 'replace a file that exists' },
  },
  async run(context, { args, options }) {
    const name = args.file ?? 'cluster.yaml';
    const file = path.resolve(context.cwd, name);
    const schema = schemaFrom(path.dirname(file));
    const text = options.example
      ? await exampleText(options.example, schema, options)
      : await ownSpec(context, options, { schema, name });
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
    else {
      const change = options.example ? 'Change its hosts and addresses, then run' : 'Run';
      printText(context, `Wrote ${name}. ${change} \`perijove check\`.\n`);
    }
    return exitCodes.done;
  },
});

type Choices = Readonly<Record<keyof FirstSpec, string | undefined>>;

interface Target {
  readonly schema: string;
  /** As messages show it. */
  readonly name: string;
}

/** The spec that the options describe, or the answers on a terminal. @throws PerijoveError USAGE, SpecError */
async function ownSpec(context: CommandContext, choices: Choices, target: Target): Promise<string> {
  const { hosts, mesos, user, network, storage } = choices;
  if (hosts !== undefined && mesos !== undefined) {
    return validSpec({ hosts, mesos, user, network, storage }, target);
  }
  const { stdin, stdout, signal, json, isTTY } = context;
  if (!hasChoice(choices) && isTTY && stdin.isTTY === true && !json) {
    const write = (text: string) => stdout.write(text);
    const given = await askForSpec({ stdin, signal, write }, (answers) => problemOf(answers, target));
    if (given !== undefined) return validSpec(given, target);
    stdout.write('\n');
  }
  throw new PerijoveError('USAGE', `${hosts === undefined ? '--hosts' : '--mesos'} is missing`, {
    remedy:
      'Name the hosts and the source of Mesos: `perijove init --hosts 10.0.0.11,10.0.0.12,10.0.0.13 --mesos path:/usr/local`; or start from an example: `perijove init --example origin`.',
  });
}

const hasChoice = ({ hosts, mesos, user, network, storage }: Choices) =>
  [hosts, mesos, user, network, storage].some((value) => value !== undefined);

/** @throws PerijoveError USAGE, SpecError */
function validSpec(given: FirstSpec, { schema, name }: Target): string {
  const text = firstSpec(given, schema);
  const { problems } = parseSpec(text, name);
  if (problems.length > 0) throw new SpecError(problems, name);
  return text;
}

/** What is wrong with these answers, in one sentence. */
function problemOf(given: FirstSpec, { schema, name }: Target): string | undefined {
  try {
    const [problem] = parseSpec(firstSpec(given, schema), name).problems;
    return problem?.message;
  } catch (error) {
    if (error instanceof PerijoveError) return error.message;
    throw error;
  }
}

/** @throws PerijoveError USAGE if the options describe hosts */
async function exampleText(example: string, schema: string, choices: Choices): Promise<string> {
  if (hasChoice(choices)) {
    throw new PerijoveError('USAGE', '--example is not for a spec of your hosts');
  }
  const file = example === 'origin' ? 'three-hosts' : example;
  const text = await readFile(path.join(packageRoot, 'examples', `${file}.yaml`), 'utf8');
  return text.replace('../schema/cluster.schema.json', schema);
}

/** The schema's location for editors: in a package installed next to the file, else an absolute path. */
function schemaFrom(directory: string): string {
  const installed = 'node_modules/perijove/schema/cluster.schema.json';
  if (existsSync(path.join(directory, installed))) return `./${installed}`;
  return path.join(packageRoot, 'schema', 'cluster.schema.json');
}
