/** What `scripts/requirements.js` writes; src/lab/pins.ts names those that Perijove installs. */
export const requirementFiles = [
  'images/node/requirements.txt',
  'requirements/temporal.txt',
  'requirements/uv.txt',
];

/**
 * The packages of a requirement file that `scripts/requirements.js` writes or is about to write: `name`,
 * `version`, `marker` (where pip installs it; empty: everywhere), `hashes`, `licence`, and its own `lines`.
 */
export function parseRequirements(text) {
  const packages = [];
  for (const line of text.trimEnd().split('\n')) {
    if (line.startsWith('#')) continue;
    const { name, version, marker } =
      /^(?<name>[a-z\d-]+)==(?<version>[\w.]+)(?: ; (?<marker>.*?))?(?: \\)?$/.exec(line)?.groups ?? {};
    if (name !== undefined) packages.push({ name, version, marker: marker ?? '', hashes: [], lines: [] });
    const last = packages.at(-1);
    const [, hash] = /^    --hash=sha256:([\da-f]{64})(?: \\)?$/.exec(line) ?? [];
    if (last === undefined || (name === undefined && hash === undefined && !line.startsWith('    #'))) {
      throw new Error(`unexpected line: ${line}`);
    }
    if (hash !== undefined) last.hashes.push(hash);
    last.licence ??= /^    # licence: (.+)$/.exec(line)?.[1];
    last.lines.push(line);
  }
  return packages;
}
