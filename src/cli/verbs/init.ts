import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { exitCodes, PerijoveError } from '../../errors/error.js';
import { parseSpec } from '../../cluster/load.js';
import { SpecError } from '../../cluster/problem.js';
import { defineCommand } from '../command.js';
import { firstSpec } from '../first-spec.js';
import { printJson, printText } from '../io.js';

const packageRoot = fileURLToPath(new URL('../../../', import.meta.url));
const examples = ['origin', 'three-hosts', 'lab'] as const;

export const initCommand = defineCommand({
  name: 'init',
  summary: 'write a commented cluster.yaml',
  description:
    'With `--hosts` and `--mesos`, writes a spec for bare Debian hosts: Docker nodes in a VXLAN, notebooks on a ' +
    'GlusterFS volume. Without them, writes an example to start from: change its hosts and addresses. Then run ' +
    '`perijove check`.',
  args: { file: { description: 'where to write it (default: cluster.yaml)', optional: true } },
  options: {
    example: {
      flags: '--example <name>',
      description: 'which one (default: origin, which is three-hosts)',
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
    const own = ownSpec(options, schema, name);
    const text = own ?? (await exampleText(options.example ?? 'origin', schema));
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
      const change = own === undefined ? 'Change its hosts and addresses, then run' : 'Run';
      printText(context, `Wrote ${name}. ${change} \`perijove check\`.\n`);
    }
    return exitCodes.done;
  },
});

interface Choices {
  readonly example: string | undefined;
  readonly hosts: string | undefined;
  readonly mesos: string | undefined;
  readonly user: string | undefined;
  readonly network: string | undefined;
  readonly storage: string | undefined;
}

/** The spec that the options describe; undefined if they ask for an example. @throws PerijoveError USAGE, SpecError */
function ownSpec(
  { example, hosts, mesos, user, network, storage }: Choices,
  schema: string,
  name: string,
): string | undefined {
  const isExample = [hosts, mesos, user, network, storage].every((value) => value === undefined);
  if (isExample) return undefined;
  if (example !== undefined) throw new PerijoveError('USAGE', '--example is not for a spec of your hosts');
  if (hosts === undefined || mesos === undefined) {
    throw new PerijoveError('USAGE', `${hosts === undefined ? '--hosts' : '--mesos'} is missing`, {
      remedy:
        'Name the hosts and the source of Mesos: `perijove init --hosts 10.0.0.11,10.0.0.12,10.0.0.13 --mesos path:/usr/local`.',
    });
  }
  const text = firstSpec({ hosts, mesos, user, network, storage }, schema);
  const { problems } = parseSpec(text, name);
  if (problems.length > 0) throw new SpecError(problems, name);
  return text;
}

async function exampleText(name: string, schema: string): Promise<string> {
  const file = name === 'origin' ? 'three-hosts' : name;
  const text = await readFile(path.join(packageRoot, 'examples', `${file}.yaml`), 'utf8');
  return text.replace('../schema/cluster.schema.json', schema);
}

/** The schema's location for editors: in a package installed next to the file, else an absolute path. */
function schemaFrom(directory: string): string {
  const installed = 'node_modules/perijove/schema/cluster.schema.json';
  if (existsSync(path.join(directory, installed))) return `./${installed}`;
  return path.join(packageRoot, 'schema', 'cluster.schema.json');
}
