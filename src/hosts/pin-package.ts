/** Installs a package in one version, from its own apt source where the spec names one, and takes that back. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AptSource } from '../cluster/spec.js';
import { messageOf, PerijoveError } from '../errors/error.js';
import { fetchBytes } from '../net/http.js';
import type { HostConnection } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import type { Change, PinnedItem } from './items.js';
import { openPgpKeys } from './openpgp.js';
import { aptExits, aptInstall, runInstallation, type InstallOptions } from './packages.js';
import { hostPaths } from './paths.js';
import {
  aptMarker,
  filesOf,
  observePinned,
  pinnedDiffers,
  preferencesText,
  sourcesText,
  wantedPinned,
  type PinnedFiles,
} from './pinned.js';

/** A key has some kilobytes; one with many signatures of others has some hundred. */
const largestKeyBytes = 2 ** 20;

/** Those of the packages that differ on the host. @throws PerijoveError OBSERVATION_INCOMPLETE, SSH_* */
export async function pendingPins(
  connection: HostConnection,
  items: readonly PinnedItem[],
): Promise<readonly PinnedItem[]> {
  const states = items.map(async (item) => {
    const printed = await connection.run(observePinned(item));
    return pinnedDiffers(item, printed) ? [item] : [];
  });
  return (await Promise.all(states)).flat();
}

/**
 * The one key of a source, without armor, from the spec or from where the spec says.
 *
 * @throws PerijoveError APT_KEY_UNREACHABLE, APT_KEY_FINGERPRINT, APT_KEY_EXPIRED
 */
export async function aptKey(
  { key, keyUrl = '', fingerprint }: AptSource,
  { signal, now = new Date() }: { readonly signal?: AbortSignal; readonly now?: Date } = {},
): Promise<Buffer> {
  const file = key === undefined ? await fetchKey(keyUrl, signal) : Buffer.from(key);
  const place = key === undefined ? keyUrl : 'mesos.install.apt.key';
  const keys = openPgpKeys(file);
  const found = keys.find((each) => each.fingerprint === fingerprint);
  if (found === undefined) {
    const has = keys.map((each) => each.fingerprint).join(', ');
    throw new PerijoveError(
      'APT_KEY_FINGERPRINT',
      has === ''
        ? `${place} contains no OpenPGP public key`
        : `${place} contains the key ${has}, not ${fingerprint}`,
      { subject: place },
    );
  }
  if (found.expiresAt !== undefined && found.expiresAt <= now) {
    const day = found.expiresAt.toISOString().slice(0, 10);
    throw new PerijoveError('APT_KEY_EXPIRED', `the key ${fingerprint} expired on ${day}`, {
      subject: place,
    });
  }
  return found.data;
}

async function fetchKey(url: string, signal: AbortSignal | undefined): Promise<Buffer> {
  try {
    if (url.startsWith('file:')) return await readFile(fileURLToPath(url));
    return await fetchBytes(url, { atMost: largestKeyBytes, signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw new PerijoveError('APT_KEY_UNREACHABLE', `cannot fetch ${url}: ${messageOf(error)}`, {
      subject: url,
      cause: error,
    });
  }
}

/**
 * Adds the source of a package, installs the package in its version, and holds it. The key is checked before anything
 * reaches the host. The source is tried apart from apt's own state first, and added once it is signed by that key and
 * has the version. After a failure the files are as before. Resolves to notes for the operator.
 *
 * @throws PerijoveError APT_*, and the errors of `installPackages`
 */
export async function pinPackage(
  connection: HostConnection,
  item: PinnedItem,
  options: InstallOptions = {},
): Promise<readonly string[]> {
  const { signal } = options;
  const key =
    item.apt === undefined ? undefined : await aptKey(item.apt, signal === undefined ? {} : { signal });
  return runInstallation(
    connection,
    {
      packages: [`${item.name}=${item.version}`],
      missing: `state=$(\n${observePinned(item)}\n)
[ "$state" = ${quote(wantedPinned(item))} ] || missing=${quote(`${item.name}=${item.version}`)}`,
      ...(key === undefined
        ? {}
        : {
            prepare: `base64 -d > "$work/key.gpg" <<'KEY' || exit 1
${key.toString('base64').replaceAll(/.{76}/g, '$&\n')}
KEY`,
          }),
      functions: pinFunctions(item, connection.host.dir),
    },
    options,
  );
}

/** For the session that `runInstallation` starts: `install`, and `undo`, which is called at its end. */
function pinFunctions(item: PinnedItem, dir: string): string {
  const { apt, cluster, name, version } = item;
  const files = filesOf(item);
  const own = apt === undefined ? [files.preferences] : [files.preferences, files.sources, files.keyring];
  const pinned = quote(`${name}=${version}`);
  return `
${forgetLists}
fail() { echo "$2" > "$work/reason"; echo "$1" > "$work/outcome"; }
undo() {
  [ -e "$work/placing" ] && [ ! -e "$work/placed" ] || return 0
  [ -e ${kept(files.sources)} ] || [ ! -e ${quote(files.sources)} ] || forget_lists ${quote(files.sources)}
  for file in ${own.map(quote).join(' ')}; do
    kept=$work/before/\${file##*/}
    if [ -e "$kept" ]; then cp -p "$kept" "$file.new" && mv -f "$file.new" "$file"; else rm -f "$file" "$file.new"; fi
  done
}
${apt === undefined ? 'try_source() { :; }\nupdate() { :; }' : tryFunctions(item, apt, files)}
place() {
  mkdir -p "$work/before" || return 1
  for file in ${quote(files.preferences)}${apt === undefined ? '' : ` ${quote(files.sources)}`}; do
    if [ -e "$file" ] && { read -r line < "$file" || :; [ "$line" != ${quote(aptMarker(cluster))} ]; }; then
      fail ${aptExits.conflict} "$file exists, and Perijove did not write it"; return 1
    fi
  done
  for file in ${own.map(quote).join(' ')}; do
    [ ! -e "$file" ] || cp -p "$file" "$work/before/\${file##*/}" || return 1
  done
  : > "$work/placing"
  umask 022
  mkdir -p /etc/apt/keyrings /etc/apt/sources.list.d /etc/apt/preferences.d || return 1
  put ${quote(files.preferences)} < "$work/preferences" || return 1
  ${apt === undefined ? ':' : `put ${quote(files.keyring)} < "$work/key.gpg" && put ${quote(files.sources)} < "$work/sources"`}
}
put() { cat > "$1.new" && chmod 644 "$1.new" && mv -f "$1.new" "$1"; }
add() {
  ${aptInstall('--allow-downgrades --allow-change-held-packages', pinned)}
}
hold() {
  if apt-mark showhold ${quote(name)} | grep -qxF ${quote(name)}; then return 0; fi
  mkdir -p "$(dirname ${quote(holdsFile(dir))})" && echo ${quote(name)} >> ${quote(holdsFile(dir))} && apt-mark hold ${quote(name)}
}
install() {
  printf '%s' ${quote(preferencesText(item))} > "$work/preferences" &&
  try_source && place && update && { add || { apt-get -q update && add; }; } && : > "$work/placed" && hold
}`.trim();
}

/** `try_source` fetches the source into a directory of its own; `update` into apt's own lists, and nothing else. */
function tryFunctions(item: PinnedItem, apt: AptSource, files: PinnedFiles): string {
  const { name, version } = item;
  const alone = (file: string) => `-o Dir::Etc::SourceList=${file} -o Dir::Etc::SourceParts=/dev/null`;
  const trial = `${alone('"$trial/trial.sources"')} -o Dir::State::Lists="$trial/lists" -o Dir::Cache="$trial" -o APT::Sandbox::User=root`;
  return `
try_source() {
  trial=$work/trial
  mkdir -p "$trial/lists/partial" "$trial/parts" "$trial/archives/partial" || return 1
  printf '%s' ${quote(sourcesText(item, apt, files.keyring))} > "$work/sources" || return 1
  printf '%s' ${quote(sourcesText(item, apt, '@KEY@'))} | sed "s|@KEY@|$work/key.gpg|" > "$trial/trial.sources" || return 1
  apt-get -q update ${trial} -o APT::Update::Error-Mode=any > "$trial/log" 2>&1
  code=$?
  cat "$trial/log"
  if grep -qE 'EXPKEYSIG|[Kk]ey .*expired|[Ee]xpired on ' "$trial/log"; then
    fail ${aptExits.expired} ${quote(`${apt.source} ${apt.suite} is signed by an expired key`)}; return 1
  fi
  if grep -qE 'NO_PUBKEY|BADSIG|REVKEYSIG|GPG error|OpenPGP|not signed|no longer signed' "$trial/log"; then
    fail ${aptExits.untrusted} ${quote(`${apt.source} ${apt.suite} is not signed by the key ${apt.fingerprint}`)}; return 1
  fi
  if [ "$code" != 0 ] || grep -qE '^(E|W|Err): ?(Failed|Some|The repository)' "$trial/log"; then
    fail ${aptExits.unreachable} "$(grep -E '^(E|W): ' "$trial/log" | head -n 1 | sed 's/^[EW]: //')"; return 1
  fi
  versions=$(apt-cache madison ${quote(name)} ${trial} | awk -F ' *[|] *' '{ print $2 }' | sort -u)
  if ! printf '%s\\n' "$versions" | grep -qxF ${quote(version)}; then
    fail ${aptExits.notFound} ${quote(`${apt.source} ${apt.suite} has no ${name} ${version}`)}"; it has: $(echo \${versions:-no package of this name})"; return 1
  fi
  for file in /etc/apt/sources.list.d/*; do
    [ ! -e "$file" ] || [ "$file" = ${quote(files.sources)} ] || ln -s "$file" "$trial/parts/" || return 1
  done
  cp "$work/sources" "$trial/parts/perijove-trial.sources" || return 1
  if ! apt-get indextargets -o Dir::Etc::SourceParts="$trial/parts" > /dev/null 2> "$trial/log"; then
    cat "$trial/log"
    ! grep -q 'Conflicting values' "$trial/log" || fail ${aptExits.conflict} "$(grep -m 1 'Conflicting values' "$trial/log" | sed 's/^E: //')"
    return 1
  fi
}
update() {
  [ ! -e ${kept(files.sources)} ] || cmp -s ${kept(files.sources)} ${quote(files.sources)} || forget_lists ${kept(files.sources)}
  apt-get -q update ${alone(quote(files.sources))} -o APT::Get::List-Cleanup=0
}`.trim();
}

/** Shell: where the former version of a file is kept during an installation. */
function kept(file: string): string {
  return `"$work/before/"${quote(path.posix.basename(file))}`;
}

/** Shell function that removes apt's lists of a source. */
const forgetLists = `
forget_lists() {
  apt-get indextargets --format '$(FILENAME)' -o Dir::Etc::SourceList="$1" -o Dir::Etc::SourceParts=/dev/null 2>/dev/null |
    while IFS= read -r list; do
      suite=\${list##*_dists_}
      rm -f "$list" "$list".* "\${list%_dists_*}_dists_\${suite%%_*}_InRelease" "\${list%_dists_*}_dists_\${suite%%_*}_Release" "\${list%_dists_*}_dists_\${suite%%_*}_Release.gpg"
    done
}`.trim();

/** Packages that Perijove set on hold, one a line. */
function holdsFile(dir: string): string {
  return `${hostPaths({ dir }).etc}/apt-holds`;
}

/**
 * Removes the sources, keys and preferences of a cluster, and the holds that Perijove set. Packages stay. Returns what
 * was removed: nothing when repeated.
 *
 * @throws PerijoveError SSH_*, COMMAND_FAILED
 */
export async function removePinned(
  connection: HostConnection,
  { cluster }: { readonly cluster: string },
): Promise<readonly Change[]> {
  const holds = quote(holdsFile(connection.host.dir));
  const output = await connection.run(
    `
${forgetLists}
for sources in /etc/apt/sources.list.d/perijove-*.sources; do
  [ -e "$sources" ] && read -r line < "$sources" && [ "$line" = ${quote(aptMarker(cluster))} ] || continue
  key=$(sed -n 's/^Signed-By: //p' "$sources")
  forget_lists "$sources"
  rm -f "$sources" && echo "removed $sources" || exit 1
  case $key in /etc/apt/keyrings/perijove-*) rm -f "$key" && echo "removed $key" || exit 1 ;; esac
done
for preferences in /etc/apt/preferences.d/perijove-*.pref; do
  [ -e "$preferences" ] && read -r line < "$preferences" && [ "$line" = ${quote(aptMarker(cluster))} ] || continue
  rm -f "$preferences" && echo "removed $preferences" || exit 1
done
if [ -s ${holds} ]; then
  while IFS= read -r name; do
    if apt-mark showhold "$name" | grep -qxF "$name"; then
      apt-mark unhold "$name" >&2 && echo "released the hold on $name" || exit 1
    fi
  done < ${holds}
  rm -f ${holds} || exit 1
fi
exit 0`.trim(),
  );
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((what) => ({ host: connection.host.name, what }));
}
