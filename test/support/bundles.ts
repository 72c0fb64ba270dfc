/** Workflow bundles, shared by the processes of a test run: building one takes seconds of CPU time. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bundleWorkflowCode, DefaultLogger, type WorkflowBundleWithSourceMap } from '@temporalio/worker';
import { writeAtomically } from '../../src/lab/state.js';

const variable = 'PERIJOVE_TEST_BUNDLES';
const root = path.resolve(import.meta.dirname, '../..');

/** For a global setup: the processes of this run share their bundles until the returned function is called. */
export function shareBundles(): () => void {
  // Another project's setup did.
  if (process.env[variable] !== undefined) return () => undefined;
  const directory = mkdtempSync(path.join(tmpdir(), 'perijove-bundles-'));
  process.env[variable] = directory;
  return () => {
    rmSync(directory, { recursive: true, force: true });
    Reflect.deleteProperty(process.env, variable);
  };
}

const bundles = new Map<string, Promise<WorkflowBundleWithSourceMap>>();

/** The bundle of a workflow module, built once per test run and state of the sources. */
export function bundleOf(modulePath: string): Promise<WorkflowBundleWithSourceMap> {
  const made = bundles.get(modulePath);
  if (made !== undefined) return made;
  const bundle = loadOrBuild(modulePath);
  bundles.set(modulePath, bundle);
  return bundle;
}

async function loadOrBuild(modulePath: string): Promise<WorkflowBundleWithSourceMap> {
  const build = () => bundleWorkflowCode({ workflowsPath: modulePath, logger: new DefaultLogger('WARN') });
  const directory = process.env[variable];
  if (directory === undefined) return build();
  const key = createHash('sha256').update(modulePath).update(sourcesDigest()).digest('hex');
  const file = path.join(directory, `${key}.json`);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text !== undefined) return JSON.parse(text) as WorkflowBundleWithSourceMap;
  const bundle = await build();
  writeAtomically(file, JSON.stringify(bundle));
  return bundle;
}

/** Sources can change during a run that watches them. */
function sourcesDigest(): string {
  const hash = createHash('sha256');
  for (const directory of ['src', 'test']) {
    const files = readdirSync(path.join(root, directory), { recursive: true, encoding: 'utf8' });
    for (const name of files.filter((file) => file.endsWith('.ts')).toSorted()) {
      hash.update(`${name}\0`).update(readFileSync(path.join(root, directory, name)));
    }
  }
  return hash.digest('hex');
}
