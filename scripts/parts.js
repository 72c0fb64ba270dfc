// The tables of docs/reference/parts.md, from the lock file and the requirement files.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseRequirements } from './requirement-file.js';
import { root } from './source.js';

/** Packages that declare their licence only in the file LICENSE, or in a way that npm no longer reads. */
const undeclared = { buildcheck: 'MIT', 'cpu-features': 'MIT', ssh2: 'MIT', unionfs: 'Unlicense' };

function table(heads, rows) {
  const lines = rows.map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`);
  return [`| ${heads.join(' | ')} |`, `|${' --- |'.repeat(heads.length)}`, ...lines].join('\n');
}

const read = (file) => readFileSync(path.join(root, file), 'utf8');

/** What `npm ci --omit=dev` installs. */
export function npmTable() {
  const packages = new Map();
  for (const [place, { dev, version, license, os, cpu, libc }] of Object.entries(
    JSON.parse(read('package-lock.json')).packages,
  )) {
    if (place === '' || dev) continue;
    const name = place.split('node_modules/').at(-1);
    const licence = license ?? undeclared[name];
    if (licence === undefined) throw new Error(`${name} declares no licence: add it to scripts/parts.js`);
    const only = [os, cpu, libc].flatMap((values) => values ?? []).join(' ');
    packages.set(`${name} ${version}`, [name, version, licence, only]);
  }
  const rows = [...packages.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, cells]) => cells);
  return table(['package', 'version', 'licence', 'only on'], rows);
}

/** What pip installs from a requirement file. */
export function pythonTable(file) {
  const rows = parseRequirements(read(file)).map(({ name, version, licence, marker }) => [
    name,
    version,
    licence,
    marker === '' ? '' : `\`${marker}\``,
  ]);
  return table(['package', 'version', 'licence', 'only where'], rows);
}
