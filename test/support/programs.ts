/** The programs of hosts as they lie on a host: single files, without node_modules. */
import { existsSync } from 'node:fs';
import path from 'node:path';

const programs = path.resolve(import.meta.dirname, '../../dist/programs');

/** Path of `<name>.mjs`, as the global setup of the tests has built it from the present sources. */
export async function builtProgram(name: string): Promise<string> {
  const file = path.join(programs, `${name}.mjs`);
  if (!existsSync(file)) throw new Error(`${file} is missing: \`npm run build\` makes it`);
  return file;
}
