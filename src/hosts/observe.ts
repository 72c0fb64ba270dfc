import { z } from 'zod';
import { quote } from '../ssh/shell.js';
import { checksumFunctions } from './checksum.js';
import { observeDaemons, parseDaemons } from './daemons.js';
import { sightOf, type ObservedState, type WantedState } from './diff.js';
import type { InitDriver } from './init.js';
import type { DaemonItem } from './items.js';
import { unfinishedInstallation } from './packages.js';
import { hostPaths } from './paths.js';
import { installedScript } from './substitutes.js';

/** Debian's package with runsvdir, sv and svlogd. */
export const runitPackage = 'runit';

/** What `observeScript` is to look at. */
export interface Sights {
  readonly packages: readonly string[];
  readonly directories: readonly string[];
  readonly files: readonly string[];
  /** Files whose checksum is worth remembering. */
  readonly largeFiles: readonly string[];
  readonly daemons: readonly DaemonItem[];
  readonly services: readonly string[];
  /** What is printed by shell of its own. */
  readonly seen: readonly { readonly name: string; readonly observe: string }[];
}

export function sightsOf(wanted: WantedState): Sights {
  const largeFiles = wanted.files.filter(({ source }) => source.kind === 'node').map(({ path }) => path);
  const files = [
    ...wanted.archives.map(({ marker }) => marker),
    ...wanted.files.map(({ path }) => path),
    ...wanted.services.flatMap(({ item, files }) => [...files.map(({ path }) => path), ...item.restartOn]),
  ];
  return {
    packages: wanted.packages,
    directories: unique([...wanted.parents, ...wanted.directories.map(({ path }) => path)]),
    files: unique(files).filter((path) => !largeFiles.includes(path)),
    largeFiles,
    daemons: wanted.daemons,
    services: wanted.services.map(({ item }) => item.name),
    seen: [
      ...wanted.services.flatMap(({ item: { name, effect } }) =>
        effect === undefined ? [] : [{ name: sightOf('service', name), observe: effect.observe }],
      ),
      ...wanted.conditions.map(({ name, observe }) => ({ name: sightOf('condition', name), observe })),
    ],
  };
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}

/** One script that prints everything that `diff` compares, for `parseObserved`; few processes, whatever there is. */
export function observeScript(dir: string, sights: Sights, driver: InitDriver): string {
  const words = (values: readonly string[]) => values.map(quote).join(' ');
  const { packages, directories, files, largeFiles, daemons, services, seen } = sights;
  const paths = [...directories, ...files, ...largeFiles];
  return [
    ...installedScript(packages, 'package installed'),
    ...(packages.length === 0
      ? []
      : [unfinishedInstallation, 'if unfinished_installation; then echo installation unfinished; fi']),
    ...(paths.length === 0 ? [] : [`stat -Lc 'path %f %n' -- ${words(paths)} 2>/dev/null`]),
    ...(files.length === 0 ? [] : [`sha256sum -- ${words(files)} 2>/dev/null | sed 's/^/sha256 /'`]),
    ...(largeFiles.length === 0
      ? []
      : [
          checksumFunctions(hostPaths({ dir }).run),
          `for path in ${words(largeFiles)}; do printf 'sha256 %s  %s\\n' "$(checksum "$path")" "$path"; done`,
        ]),
    ...observeDaemons(daemons),
    driver.statusScript(services),
    ...seen.map(({ name, observe }) => `(\n${observe}\n) </dev/null | sed 's|^|seen ${name} |'`),
    'exit 0',
  ].join('\n');
}

/** The raw mode of stat(2), in hexadecimal: type and permissions. */
const rawMode = z
  .string()
  .regex(/^[0-9a-f]+$/)
  .transform((text) => Number.parseInt(text, 16));
const typeMask = 0o170000;
const directoryType = 0o040000;
const fileType = 0o100000;

/** @throws ZodError when the host printed something else than the script prints */
export function parseObserved(output: string, sights: Sights, driver: InitDriver, now: Date): ObservedState {
  const packages = new Set<string>();
  const directories = new Map<string, number>();
  const files = new Map<string, { mode: number; sha256: string }>();
  const sums = new Map<string, string>();
  for (const line of output.split('\n')) {
    const sum = /^sha256 ([0-9a-f]{64}) {2}(.*)$/.exec(line);
    if (sum?.[1] !== undefined && sum[2] !== undefined) sums.set(sum[2], sum[1]);
  }
  for (const line of output.split('\n')) {
    const [kind, first = '', ...rest] = line.split(' ');
    const subject = rest.join(' ');
    if (kind === 'package' && first === 'installed') packages.add(subject);
    if (kind === 'path') {
      const raw = rawMode.parse(first);
      const type = raw & typeMask;
      if (type === directoryType) directories.set(subject, raw & 0o7777);
      // One that cannot be read has no checksum, and so none that is wanted.
      if (type === fileType)
        files.set(subject, { mode: raw & 0o7777, sha256: sums.get(subject) ?? 'unreadable' });
    }
  }
  return {
    packages,
    unfinishedInstallation: /^installation unfinished$/m.test(output),
    directories,
    files,
    daemons: parseDaemons(output),
    services: driver.parseStatus(output, sights.services, now),
    seen: new Map(sights.seen.map(({ name }) => [name, seenOf(output, name)])),
  };
}

function seenOf(output: string, name: string): string {
  const prefix = `seen ${name} `;
  return output
    .split('\n')
    .filter((line) => line.startsWith(prefix))
    .map((line) => line.slice(prefix.length))
    .join('\n');
}
