/** A Debian package in one version, held: what apt's files must say, and whether they do. */
import type { AptSource } from '../cluster/spec.js';
import { PerijoveError } from '../errors/error.js';
import { quote } from '../ssh/shell.js';
import { sha256OfText } from './checksum.js';
import type { PinnedItem } from './items.js';

/** The first line of each file that Perijove adds to apt's configuration. */
export const aptMarker = (cluster: string) =>
  `# Perijove, cluster ${cluster}: removed by \`perijove down --purge\``;

/** Where apt has them. */
export interface PinnedFiles {
  readonly sources: string;
  readonly keyring: string;
  readonly preferences: string;
}

export function filesOf({ cluster, name }: PinnedItem): PinnedFiles {
  const base = `perijove-${cluster}-${name}`;
  return {
    sources: `/etc/apt/sources.list.d/${base}.sources`,
    keyring: `/etc/apt/keyrings/${base}.gpg`,
    preferences: `/etc/apt/preferences.d/${base}.pref`,
  };
}

/** sources.list(5), in the deb822 format. */
export function sourcesText(item: PinnedItem, apt: AptSource, keyring: string): string {
  return `${aptMarker(item.cluster)}
# Key ${apt.fingerprint}
Types: deb
URIs: ${apt.source}
Suites: ${apt.suite}
Components: ${apt.component}
Signed-By: ${keyring}
`;
}

/**
 * apt_preferences(5): this version of the package, and of the source nothing else that another source has too, so that
 * it cannot replace packages of the distribution.
 */
export function preferencesText({ cluster, name, version, apt }: PinnedItem): string {
  const { hostname } = apt === undefined ? { hostname: '' } : new URL(apt.source);
  const others = hostname === '' ? '' : `\nPackage: *\nPin: origin "${hostname}"\nPin-Priority: 100\n`;
  return `${aptMarker(cluster)}
Package: ${name}
Pin: version ${version}
Pin-Priority: 1001
${others}`;
}

/** Shell that prints the state of the package and of its files, and changes nothing. */
export function observePinned(item: PinnedItem): string {
  const { sources, keyring, preferences } = filesOf(item);
  const sum = (name: string, file: string) =>
    `sum=$(sha256sum < ${quote(file)} 2>/dev/null) && echo "${name} \${sum%% *}"`;
  return `state=$(LC_ALL=C dpkg-query -W -f '\${db:Status-Want} \${db:Status-Status} \${Version}' ${quote(item.name)} 2>&1)
case $state in 'dpkg-query: no packages found'*) state=none ;; esac
echo "package $state"
${sum('preferences', preferences)}
${item.apt === undefined ? '' : `${sum('sources', sources)}\n[ ! -s ${quote(keyring)} ] || echo keyring`}
:`;
}

/** What `observePinned` prints where nothing differs. */
export function wantedPinned(item: PinnedItem): string {
  const { keyring } = filesOf(item);
  return [
    `package hold installed ${item.version}`,
    `preferences ${sha256OfText(preferencesText(item))}`,
    ...(item.apt === undefined
      ? []
      : [`sources ${sha256OfText(sourcesText(item, item.apt, keyring))}`, 'keyring']),
  ].join('\n');
}

/**
 * Whether the package and its source differ from what `observePinned` printed.
 *
 * @throws PerijoveError OBSERVATION_INCOMPLETE
 */
export function pinnedDiffers(item: PinnedItem, printed: string): boolean {
  if (!/^package (?:none|(?!dpkg-query:)\S+ \S+ ?.*)$/m.test(printed)) {
    throw new PerijoveError(
      'OBSERVATION_INCOMPLETE',
      `dpkg-query did not report the version of ${item.name}: ${printed.trim()}`,
    );
  }
  return printed.trim() !== wantedPinned(item);
}
