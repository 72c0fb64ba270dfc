/** The programs for hosts, as installed there: single files, without node_modules. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const programs = path.resolve(import.meta.dirname, '../../dist/programs');

/** Path of `<name>.mjs`, built by the tests' global setup from the current sources. */
export async function builtProgram(name: string): Promise<string> {
  const file = path.join(programs, `${name}.mjs`);
  if (!existsSync(file)) throw new Error(`${file} is missing: \`npm run build\` makes it`);
  return file;
}

/** Python interpreter of Jupyter. */
export function jupyterPython(): string {
  const jupyter = readFileSync(path.join(process.env['PERIJOVE_TOOLS'] ?? '', 'bin/jupyter-lab'), 'utf8');
  return jupyter.slice('#!'.length).split('\n', 1)[0] ?? '';
}
