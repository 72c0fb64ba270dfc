// Loads modules of src/ for other scripts.
import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** The exports of these modules, such as `cli/verbs`, and zod's `z`, freshly built: dist/ may be older. */
export async function load(modules) {
  const entry = modules
    .map((module) => `export * from './src/${module}.ts';`)
    .concat("export * as z from 'zod';")
    .join('\n');
  // Inside the project, so that imports from node_modules resolve.
  const directory = await mkdtemp(path.join(root, 'node_modules', '.source-'));
  try {
    const outfile = path.join(directory, 'source.mjs');
    await build({
      stdin: { contents: entry, resolveDir: root },
      outfile,
      bundle: true,
      packages: 'external',
      platform: 'node',
      target: 'node20',
      format: 'esm',
    });
    return await import(outfile);
  } finally {
    await rm(directory, { recursive: true });
  }
}
