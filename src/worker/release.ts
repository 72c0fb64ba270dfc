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
