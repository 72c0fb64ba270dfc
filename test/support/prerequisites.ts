import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { withLock } from '../../src/lab/lock.js';
import { ensurePrerequisites } from '../../src/lab/prerequisites.js';
import { cacheDir } from '../../src/hosts/artifacts.js';
import { shareBundles } from './bundles.js';

const root = path.resolve(import.meta.dirname, '../..');

/**
 * Global setup for tests that drive real programs: installs what is missing (as `perijove lab up` does), puts
 * Temporal and JupyterLab on PATH and into PERIJOVE_TOOLS, and builds `dist/` if it is older than its
 * sources. PERIJOVE_TEST_DIST=as-is uses `dist/` unchanged. Resolves to what to call after the tests.
 */
export default async function setup(): Promise<() => void> {
  const report = (line: string) => console.log(line);
  const tools = await ensurePrerequisites({ report, yes: true, signal: new AbortController().signal });
  if (!process.env['PERIJOVE_TOOLS']) {
    // The user's Temporal may be in another directory than JupyterLab.
    const bin = path.join(cacheDir(), 'test-tools', 'bin');
    linkTo(tools.temporal, path.join(bin, 'temporal'));
    linkTo(tools.jupyterLab, path.join(bin, 'jupyter-lab'));
    process.env['PERIJOVE_TOOLS'] = path.dirname(bin);
  }
  const bin = path.join(path.resolve(process.env['PERIJOVE_TOOLS']), 'bin');
  const searchPath = process.env['PATH'] ?? '';
  if (!searchPath.split(path.delimiter).includes(bin)) {
    process.env['PATH'] = `${bin}${path.delimiter}${searchPath}`;
  }
  if (process.env['PERIJOVE_TEST_DIST'] === 'as-is') return shareBundles();
  mkdirSync(cacheDir(), { recursive: true });
  await withLock(path.join(cacheDir(), 'build.lock'), { waiting: report }, async () => {
    execFileSync(process.execPath, ['scripts/build.js', '--unless-fresh'], { cwd: root, stdio: 'inherit' });
  });
  return shareBundles();
}

function linkTo(target: string, link: string): void {
  mkdirSync(path.dirname(link), { recursive: true });
  const temporary = `${link}.${process.pid}`;
  symlinkSync(target, temporary);
  renameSync(temporary, link);
}
