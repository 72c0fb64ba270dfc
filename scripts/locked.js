// Checks that everything that npm and pip download is compared with a hash from this repository, wherever it is
// downloaded from. With a directory, checks the lock file and the requirement files there instead.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseRequirements, requirementFiles } from './requirement-file.js';
import { root } from './source.js';

const directory = process.argv[2] ?? root;

/** What is wrong with package-lock.json. */
function lockFaults(text) {
  const { packages } = JSON.parse(text);
  return Object.entries(packages)
    .filter(([name]) => name !== '')
    .flatMap(([name, { integrity, resolved }]) => [
      ...(/^sha512-[\w+/]+=*$/.test(integrity ?? '') ? [] : [`${name} has no sha512`]),
      // npm would download from there, whatever registry the user has.
      ...(resolved === undefined ? [] : [`${name} names the server ${resolved}`]),
    ]);
}

/** What is wrong with a requirement file. */
function requirementFaults(text) {
  const packages = parseRequirements(text);
  const [, expected] = /^# .* packages: (\d+)$/m.exec(text) ?? [];
  return [
    ...(String(packages.length) === expected ? [] : [`${packages.length} packages, not ${expected}`]),
    ...packages.flatMap(({ name, version, hashes, licence }) => [
      ...(hashes.length > 0 ? [] : [`${name}==${version} has no hash`]),
      ...(licence === undefined ? [`${name}==${version} has no licence`] : []),
    ]),
  ];
}

function faultsOf(file, find) {
  try {
    return find(readFileSync(path.join(directory, file), 'utf8')).map((fault) => `${file}: ${fault}`);
  } catch (error) {
    return [`${file}: ${error.message}`];
  }
}

const faults = [
  ...faultsOf('package-lock.json', lockFaults),
  ...requirementFiles.flatMap((file) => faultsOf(file, requirementFaults)),
];
for (const fault of faults) console.error(fault);
if (faults.length > 0) {
  console.error(
    'npm: delete the entries, then `npm install --package-lock-only`. pip: `npm run requirements`.',
  );
}
process.exitCode = faults.length > 0 ? 1 : 0;
