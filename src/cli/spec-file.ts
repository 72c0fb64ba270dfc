import { existsSync } from 'node:fs';
import path from 'node:path';
import { PerijoveError } from '../errors/error.js';
import { labPaths, labStateDir } from '../lab/state.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { loadSpec, type LoadOptions } from '../cluster/load.js';
import type { CommandContext } from './command.js';

/** The option of every command that reads a spec. */
export const fileOption = {
  flags: '-f, --file <file>',
  description: 'the spec (default: $PERIJOVE_FILE, ./cluster.yaml or that of the lab)',
} as const;

/** The same as an argument, for commands without other arguments. */
export const fileArgument = {
  description: 'the spec; the same as --file',
  optional: true,
} as const;

/** @throws PerijoveError USAGE when an argument and an option name different files */
export function givenFile(argument: string | undefined, option: string | undefined): string | undefined {
  if (argument !== undefined && option !== undefined && argument !== option) {
    throw new PerijoveError('USAGE', `both \`${argument}\` and \`${option}\` are given as the spec`, {
      remedy: 'Give one file.',
    });
  }
  return argument ?? option;
}

export interface SpecFile {
  /** As shown in messages: relative if below the working directory. */
  readonly file: string;
  readonly absolute: string;
  readonly spec: ClusterSpec;
}

/**
 * The spec file: the given one, else PERIJOVE_FILE, else `cluster.yaml` in the working directory, else the
 * default lab's.
 *
 * @throws PerijoveError SPEC_NOT_FOUND if there is none
 */
export function findSpecFile(context: Pick<CommandContext, 'env' | 'cwd'>, given?: string): string {
  const { env, cwd } = context;
  const named = given ?? env['PERIJOVE_FILE'];
  if (named !== undefined && named !== '') return path.resolve(cwd, named);
  const here = path.join(cwd, 'cluster.yaml');
  if (existsSync(here)) return here;
  const lab = labPaths(labStateDir(undefined, env)).spec;
  if (existsSync(lab)) return lab;
  throw new PerijoveError('SPEC_NOT_FOUND', 'no cluster.yaml in this directory, and no lab', {
    remedy: 'Write one with `perijove init`, name one with --file, or start a lab with `perijove lab up`.',
  });
}

/** @throws PerijoveError SPEC_NOT_FOUND; SpecError */
export async function openSpec(
  context: Pick<CommandContext, 'env' | 'cwd'>,
  given?: string,
  options: LoadOptions = {},
): Promise<SpecFile> {
  const absolute = findSpecFile(context, given);
  const relative = path.relative(context.cwd, absolute);
  const file = relative.startsWith('..') ? absolute : relative;
  return { file, absolute, spec: await loadSpec(absolute, file, options) };
}
