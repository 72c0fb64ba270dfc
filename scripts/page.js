// The status page: one script, one style sheet, and the files that name them.
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const source = fileURLToPath(new URL('../src/ui/page', import.meta.url));

/** Builds the page into `outDir`. */
export async function buildPage(outDir) {
  await build({
    entryPoints: { page: path.join(source, 'main.tsx') },
    outdir: outDir,
    bundle: true,
    minify: true,
    platform: 'browser',
    target: ['chrome109', 'firefox115', 'safari16.4'],
    format: 'esm',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    logLevel: 'warning',
    banner: { js: '/* Contains Preact (preactjs.com), (c) Jason Miller, MIT licence. */' },
  });
  for (const name of ['index.html', 'icon.svg']) {
    copyFileSync(path.join(source, name), path.join(outDir, name));
  }
}
