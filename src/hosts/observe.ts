import { quote } from '../ssh/shell.js';
import { checksumFunctions } from './checksum.js';
import { observeDaemons, parseDaemons } from './daemons.js';
import { seenKey, type ObservedState, type WantedState } from './diff.js';
import type { InitDriver } from './init.js';
import type { DaemonItem } from './items.js';
import { known, notKnown, type Observation } from './observation.js';
import { observePinned } from './pinned.js';
import { unfinishedInstallation } from './packages.js';
import { hostPaths } from './paths.js';
import { recordedFiles } from './record.js';
import { installedScript, parsePackages } from './substitutes.js';

/** Debian's package with runsvdir, sv and svlogd. */
export const runitPackage = 'runit';

/** What `observeScript` observes. */
export interface ObservationRequest {
  readonly packages: readonly string[];
  readonly directories: readonly string[];
  readonly files: readonly string[];
  /** Files whose checksum is cached. */
  readonly largeFiles: readonly string[];
  readonly daemons: readonly DaemonItem[];
  readonly services: readonly string[];
  /** Observed with its own shell script. */
  readonly seen: readonly { readonly name: string; readonly observe: string }[];
}

export function observationRequest(wanted: WantedState): ObservationRequest {
  const largeFiles = wanted.files.filter(({ source }) => source.kind === 'node').map(({ path }) => path);
  const files = [
    ...wanted.archives.map(({ marker }) => marker),
    ...wanted.files.map(({ path }) => path),
    ...wanted.services.flatMap(({ item, files }) => [
      ...files.map(({ path }) => path),
      ...recordedFiles(item),
    ]),
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
        effect === undefined ? [] : [{ name: seenKey('service', name), observe: effect.observe }],
      ),
      ...wanted.pinned.map((item) => ({ name: seenKey('package', item.name), observe: observePinned(item) })),
      ...wanted.conditions.map(({ name, observe }) => ({ name: seenKey('condition', name), observe })),
    ],
  };
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}

/**
 * One script that prints everything that `diff` compares, for `parseObserved`, with few processes. Each part
 * also reports what is absent, and the end is marked, so that a missing response is detected.
 */
export function observeScript(dir: string, request: ObservationRequest, driver: InitDriver): string {
  const words = (values: readonly string[]) => values.map(quote).join(' ');
  const { packages, directories, files, largeFiles, daemons, services, seen } = request;
  const paths = [...directories, ...files, ...largeFiles];
  return [
    ...installedScript(packages),
    ...(packages.length === 0
      ? []
      : [unfinishedInstallation, 'if unfinished_installation; then echo installation unfinished; fi']),
    ...(paths.length === 0
      ? []
      : [
          `{ lacking=$(LC_ALL=C stat -Lc 'path %f %n' -- ${words(paths)} 2>&1 >&3); } 3>&1; printf '%s\\n' "$lacking"`,
        ]),
    ...(files.length === 0 ? [] : [`sha256sum -- ${words(files)} 2>/dev/null | sed 's/^/sha256 /'`]),
    ...(largeFiles.length === 0
      ? []
      : [
          checksumFunctions(hostPaths({ dir }).run),
          `for path in ${words(largeFiles)}; do printf 'sha256 %s  %s\\n' "$(checksum "$path")" "$path"; done`,
        ]),
    ...observeDaemons(daemons),
    driver.statusScript(services),
    ...seen.map(
      ({ name, observe }) => `(\n${observe}\n) </dev/null | {
  while IFS= read -r line || [ -n "$line" ]; do printf '%s\\n' "seen ${name} $line"; done
  echo 'asked ${name}'
}`,
    ),
    `echo ${end}`,
    'exit 0',
  ].join('\n');
}

/** Printed last. */
const end = 'observed';

/** The raw mode of stat(2), in hexadecimal: type and permissions. */
const typeMask = 0o170000;
const directoryType = 0o040000;
const fileType = 0o100000;

/** Not known unless the host reported everything that was requested. */
export function parseObserved(
  output: string,
  request: ObservationRequest,
  driver: InitDriver,
  now: Date,
): Observation<ObservedState> {
  if (!output.endsWith(`\n${end}\n`) && output !== `${end}\n`) return notKnown('its response was truncated');
  const packages = parsePackages(output, request.packages);
  if (!packages.known) return packages;
  const paths = parsePaths(output, request);
  if (!paths.known) return paths;
  const daemons = parseDaemons(output);
  const silent = request.daemons.find(({ name }) => !daemons.has(name));
  if (silent !== undefined) return notKnown(`no response on whether ${silent.name} is running`);
  const services = driver.parseStatus(output, request.services, now);
  if (!services.known) return services;
  const asked = new Set(output.split('\n').filter((line) => line.startsWith('asked ')));
  const missed = request.seen.find(({ name }) => !asked.has(`asked ${name}`));
  if (missed !== undefined) return notKnown(`no response about ${missed.name}`);
  return known({
    packages: packages.value,
    unfinishedInstallation: /^installation unfinished$/m.test(output),
    ...paths.value,
    daemons,
    services: services.value,
    seen: new Map(request.seen.map(({ name }) => [name, seenOf(output, name)])),
  });
}

function parsePaths(
  output: string,
  request: ObservationRequest,
): Observation<Pick<ObservedState, 'directories' | 'files'>> {
  const lines = output.split('\n');
  const sums = new Map<string, string>();
  const modes = new Map<string, number>();
  const lacking = new Set<string>();
  for (const line of lines) {
    const [, sum, summed] = /^sha256 ([0-9a-f]{64}) {2}(.*)$/.exec(line) ?? [];
    if (sum !== undefined && summed !== undefined) sums.set(summed, sum);
    const [, mode, path] = /^path ([0-9a-f]+) (.*)$/.exec(line) ?? [];
    if (mode !== undefined && path !== undefined) modes.set(path, Number.parseInt(mode, 16));
    // A user who may not read a directory cannot overwrite anything in it, either.
    const [, absent] =
      /^(?:\S*\/)?stat: .*? ['"](.*)['"]: (?:No such file or directory|Not a directory|Permission denied)$/.exec(
        line,
      ) ?? [];
    if (absent !== undefined) lacking.add(absent);
  }
  const directories = new Map<string, number>();
  const files = new Map<string, { mode: number; sha256: string }>();
  const contents = new Set([...request.files, ...request.largeFiles]);
  for (const path of new Set([...request.directories, ...contents])) {
    const raw = modes.get(path);
    if (raw === undefined) {
      if (lacking.has(path)) continue;
      return notKnown(`stat did not report whether ${path} exists`);
    }
    const type = raw & typeMask;
    if (type === directoryType) directories.set(path, raw & 0o7777);
    if (type !== fileType || !contents.has(path)) continue;
    const sha256 = sums.get(path);
    if (sha256 === undefined) return notKnown(`sha256sum could not read ${path}`);
    files.set(path, { mode: raw & 0o7777, sha256 });
  }
  return known({ directories, files });
}

function seenOf(output: string, name: string): string {
  const prefix = `seen ${name} `;
  return output
    .split('\n')
    .filter((line) => line.startsWith(prefix))
    .map((line) => line.slice(prefix.length))
    .join('\n');
}
