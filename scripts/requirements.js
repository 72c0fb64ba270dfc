// Renews the requirement files of the Python packages that Perijove installs (src/lab/pins.ts): each pin and all
// that it needs, with the hashes of every file of each version; and the checksums of the Temporal server. Installs
// each file for several platforms, and takes the licences from there. Needs Python 3 and its package index.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseRequirements } from './requirement-file.js';
import { load, root } from './source.js';

const { jupyterPin, temporalPin, temporalSumsFile } = await load(['lab/pins']);
/** This script's own tool, which resolves the others. */
const uvPin = { package: 'uv==0.13.9', file: 'requirements/uv.txt' };

/** The oldest that the supported systems have: Debian 12. */
const oldestPython = '3.11';
const linux = { 'linux-x64': 'x86_64-manylinux_2_28', 'linux-arm64': 'aarch64-manylinux_2_28' };
const alsoOn = ['aarch64-apple-darwin', 'x86_64-pc-windows-msvc'];
/** Where each file must install, without a compiler. */
const targets = [
  ...Object.values(linux).map((platform) => ({ python: oldestPython, platform })),
  ...['3.12', '3.13'].map((python) => ({ python, platform: linux['linux-x64'] })),
];

const work = mkdtempSync(path.join(tmpdir(), 'perijove-requirements-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));
const run = (program, args) => execFileSync(program, args, { cwd: work, encoding: 'utf8' });
const strictly = ['--require-hashes', '--only-binary', ':all:'];

console.log('installing uv');
run('python3', ['-m', 'venv', path.join(work, 'venv')]);
run(path.join(work, 'venv/bin/pip'), ['install', '--quiet', ...strictly, '-r', path.join(root, uvPin.file)]);
const uv = (...args) => run(path.join(work, 'venv/bin/uv'), [...args, '--quiet', '--no-config']);

const written = {};
for (const pin of [jupyterPin, temporalPin, uvPin]) {
  console.log(`resolving ${pin.package}`);
  const text = resolve(pin);
  const platforms = pin === jupyterPin ? alsoOn.map((platform) => ({ python: oldestPython, platform })) : [];
  const licences = new Map();
  for (const target of [...targets, ...platforms]) {
    console.log(`installing it for Python ${target.python} on ${target.platform}`);
    for (const [name, licence] of licencesIn(install(text, target))) licences.set(name, licence);
  }
  written[pin.file] = withLicences(pin, text, licences);
  if (pin === temporalPin) written[temporalSumsFile] = `${JSON.stringify(sumsOf(text), undefined, 2)}\n`;
}
for (const [name, text] of Object.entries(written)) writeFileSync(path.join(root, name), text);

function resolve(pin) {
  writeFileSync(path.join(work, 'pins'), `${pin.package}\n`);
  const options = ['--universal', '--python-version', oldestPython, '--generate-hashes', '--no-header'];
  return uv('pip', 'compile', ...options, 'pins').replaceAll('-r pins', 'Perijove');
}

/** Into a new directory, whose path it returns. */
function install(text, { python, platform }) {
  const file = path.join(work, 'requirements.txt');
  writeFileSync(file, text);
  const directory = mkdtempSync(path.join(work, 'installed-'));
  const where = ['--target', directory, '--python-version', python, '--python-platform', platform];
  uv('pip', 'install', ...where, ...strictly, '-r', file);
  return directory;
}

/** `name==version` and the licence of everything that is installed in the directory. */
function licencesIn(directory) {
  return readdirSync(directory)
    .filter((entry) => entry.endsWith('.dist-info'))
    .map((entry) => {
      const [head = ''] = readFileSync(path.join(directory, entry, 'METADATA'), 'utf8').split(/\r?\n\r?\n/);
      const field = (name) =>
        [...head.matchAll(new RegExp(`^${name}: (.*)$`, 'gm'))].map(([, value]) => value);
      const name = field('Name')[0]
        .toLowerCase()
        .replaceAll(/[-_.]+/g, '-');
      return [`${name}==${field('Version')[0]}`, licenceOf(field)];
    });
}

/** What a package declares in the newest way that it knows. */
function licenceOf(field) {
  const [expression] = field('License-Expression');
  if (expression !== undefined) return expression;
  const [free = ''] = field('License');
  const classes = field('Classifier').flatMap((line) => /^License :: .*?([^:]+)$/.exec(line)?.slice(1) ?? []);
  // A class such as "BSD License" says less.
  if (/^(MIT|ISC|Apache-2\.0|MPL-2\.0|PSF-2\.0|BSD[- ][23]-Clause( License)?)$/.test(free)) return free;
  return classes.map((name) => name.trim()).join(', ') || free;
}

function withLicences(pin, text, licences) {
  const packages = parseRequirements(text);
  const blocks = packages.map(({ name, version, lines }) => {
    const licence = licences.get(`${name}==${version}`);
    if (!licence) throw new Error(`no licence is known of ${name} ${version}: no platform here installs it`);
    return `${lines.join('\n')}\n    # licence: ${licence}\n`;
  });
  return `# ${pin.package} and all that it needs, with the hashes of all files of each version.
# Written by \`npm run requirements\`. packages: ${packages.length}
${blocks.join('')}`;
}

/** SHA-256 of the Temporal server by platform of Node.js. */
function sumsOf(text) {
  return Object.fromEntries(
    Object.entries(linux).map(([name, platform]) => {
      const program = path.join(install(text, { python: oldestPython, platform }), 'bin', 'temporal');
      return [name, createHash('sha256').update(readFileSync(program)).digest('hex')];
    }),
  );
}
