/** Which release this is, and which of its builds: workers of one build replay each other's workflows. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The package's own `dist`; the sources' folder in tests, which has no bundle. */
const ownDist = path.dirname(import.meta.dirname);
const digits = 12;

export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** `0.1.0 (778ca0a, 2026-11-30)`: the release, and the commit that it was built from, with its date, if that is known. */
export function versionText(dist: string = ownDist): string {
  const file = path.join(dist, 'commit.json');
  if (!existsSync(file)) return packageVersion();
  const { commit, date } = JSON.parse(readFileSync(file, 'utf8')) as { commit: string; date: string };
  return `${packageVersion()} (${commit}, ${date})`;
}

/** The code of all workflows, as workers run it. */
export function bundleFile(dist: string = ownDist): string {
  return path.join(dist, 'workflow-bundle.js');
}

/**
 * The build ID of workers: the release, and a digest of the code of its workflows. Undefined where that code has not
 * been built.
 */
export function buildId(dist?: string): string | undefined {
  const file = bundleFile(dist);
  if (!existsSync(file)) return undefined;
  const digest = createHash('sha256').update(readFileSync(file)).digest('hex');
  return `${packageVersion()}-${digest.slice(0, digits)}`;
}
