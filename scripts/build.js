// Builds dist/: the library and CLI (tsc), the programs for hosts (esbuild, one file each), the status
// page (esbuild) and the workflow bundle for workers. With --unless-fresh, builds only what is older than its sources: npx runs `prepare`
// again when it finds the package in its own directory.
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPage } from './page.js';
import { buildPrograms } from './programs.js';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);

if (process.argv.includes('--unless-fresh') && newest('dist/') >= newest(...sources())) process.exit();

// Built next to dist/ and then moved, so that dist/ is never incomplete.
const dist = path.join(root, `dist.${process.pid}`);
process.on('exit', () => rmSync(dist, { recursive: true, force: true }));
mkdirSync(path.join(dist, 'programs'), { recursive: true });

execFileSync(
  process.execPath,
  [require.resolve('typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', dist],
  { cwd: root, stdio: 'inherit' },
);

await buildPrograms(path.join(dist, 'programs'));
await buildPage(path.join(dist, 'ui', 'page'));

const { bundleWorkflowCode } = await import('@temporalio/worker');
const { code } = await bundleWorkflowCode({
  workflowsPath: path.join(dist, 'workflows', 'index.js'),
  logger: { log() {}, trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error },
});
writeFileSync(path.join(dist, 'workflow-bundle.js'), withoutSources(code));

const commit = commitOf();
if (commit !== undefined) writeFileSync(path.join(dist, 'commit.json'), JSON.stringify(commit));

rmSync(path.join(root, 'dist'), { recursive: true, force: true });
renameSync(dist, path.join(root, 'dist'));

const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
console.log(`perijove ${version}: dist/ is built`);

/**
 * The workflow bundle with the source map that stack traces need, but without the sources in it, which are two
 * thirds of the file.
 */
function withoutSources(code) {
  const comment = '//# sourceMappingURL=data:application/json;charset=utf-8;base64,';
  const [bundle, encoded, ...more] = code.split(comment);
  if (encoded === undefined || more.length > 0)
    throw new Error('the workflow bundle has no inline source map');
  const { sourcesContent: _, ...map } = JSON.parse(Buffer.from(encoded, 'base64').toString());
  return bundle + comment + Buffer.from(JSON.stringify(map)).toString('base64');
}

/** For `perijove --version`; undefined where this is not a clone, or there is no git. */
function commitOf() {
  if (!existsSync(path.join(root, '.git'))) return undefined;
  try {
    const options = { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] };
    const [commit, date] = execFileSync('git', ['log', '-1', '--format=%h %cs'], options).trim().split(' ');
    return { commit, date };
  } catch {
    return undefined;
  }
}

function sources() {
  const configuration = readdirSync(root).filter((name) => /^(package(-lock)?|tsconfig.*)\.json$/.test(name));
  return ['src/', 'scripts/', ...configuration];
}

/** Newest modification time of these files and of files below these directories; 0 if there are none. */
function newest(...names) {
  const files = names.flatMap((name) => {
    if (!name.endsWith('/')) return [path.join(root, name)];
    const directory = path.join(root, name);
    if (!existsSync(directory)) return [];
    return readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name));
  });
  return Math.max(0, ...files.map((file) => statSync(file).mtimeMs));
}
