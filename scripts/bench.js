// `node scripts/bench.js NAME [options]`: runs bench/NAME.ts against dist/, which must be built.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const [name, ...options] = process.argv.slice(2);
// Inside the project, so that imports from node_modules resolve.
const directory = mkdtempSync(path.join(root, 'node_modules', '.bench-'));
try {
  const outfile = path.join(directory, `${name}.mjs`);
  await build({
    entryPoints: [path.join(root, 'bench', `${name}.ts`)],
    outfile,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
  });
  const { status } = spawnSync(process.execPath, [outfile, ...options], { cwd: root, stdio: 'inherit' });
  process.exitCode = status ?? 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
