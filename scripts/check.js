// Runs all checks of `npm run check`, two at a time, and prints the whole output of those that failed. With
// names of checks, such as `lint types`, runs only these.
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pLimit from 'p-limit';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

// The longest start first. Without ESLint's cache: it would miss what another file's types make wrong.
const typesSeen = path.join('node_modules', '.cache', 'check.tsbuildinfo');
const checks = {
  lint: ['eslint', '.'],
  types: ['tsc', '-p', 'tsconfig.json', '--incremental', '--tsBuildInfoFile', typesSeen],
  'page-types': ['tsc', '-p', path.join('src', 'ui', 'page')],
  format: ['prettier', '--check', '--log-level', 'warn', '.'],
  imports: ['depcruise', '--config', '.dependency-cruiser.cjs', 'src'],
  'workflow-imports': ['depcruise', '--config', '.dependency-cruiser.workflows.cjs', 'src'],
  unused: ['knip'],
  locked: ['node', 'scripts/locked.js'],
  generated: ['node', 'scripts/generate.js', '--check'],
};

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(checks);
const unknown = names.filter((name) => !Object.hasOwn(checks, name));
if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(', ')}; the checks are ${Object.keys(checks).join(', ')}`);
  process.exit(2);
}

/** Resolves to whether the check passed. */
function run(name) {
  const [program, ...args] = checks[name];
  const started = Date.now();
  const PATH = `${path.join(root, 'node_modules', '.bin')}${path.delimiter}${process.env.PATH}`;
  return new Promise((resolve) => {
    const options = { cwd: root, env: { ...process.env, PATH }, maxBuffer: 2 ** 28 };
    execFile(program, args, options, (error, stdout, stderr) => {
      const seconds = ((Date.now() - started) / 1000).toFixed(1);
      console.log(`${error ? 'FAILED' : 'passed'}  ${name} (${seconds} s)`);
      if (error) console.error(`${stdout}${stderr}${stdout || stderr ? '' : `${error.message}\n`}`);
      resolve(!error);
    });
  });
}

const limit = pLimit(Math.max(2, availableParallelism()));
const passed = await Promise.all(names.map((name) => limit(run, name)));
process.exitCode = passed.every(Boolean) ? 0 : 1;
