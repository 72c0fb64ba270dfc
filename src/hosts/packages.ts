import { setTimeout as delay } from 'node:timers/promises';
import type { ErrorCode } from '../errors/codes.js';
import { PerijoveError } from '../errors/error.js';
import type { ExecResult, HostConnection } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { daemonPolicy } from './daemon-policy.js';

/** apt may have to download several hundred megabytes. */
const installTimeoutMs = 15 * 60_000;
const lockTimeoutMs = 10 * 60_000;
const lockPollMs = 2_000;

const exits = { locked: 75, noApt: 76, notRoot: 77, notFound: 78 } as const;

/** Exit statuses of an installation from a source that the spec names. */
export const aptExits = {
  notFound: exits.notFound,
  expired: 79,
  untrusted: 80,
  conflict: 81,
  unreachable: 82,
} as const;

const aptCodes: Readonly<Record<number, ErrorCode>> = {
  [aptExits.expired]: 'APT_KEY_EXPIRED',
  [aptExits.untrusted]: 'APT_SOURCE_UNTRUSTED',
  [aptExits.conflict]: 'APT_SOURCE_CONFLICT',
  [aptExits.unreachable]: 'APT_SOURCE_UNREACHABLE',
};

export interface InstallOptions {
  readonly signal?: AbortSignal;
  /** Called each time that another program is found to hold apt's lock, with its name. */
  readonly onWait?: (what: string) => void;
  /** How long to wait for another program's lock on apt; ten minutes by default. */
  readonly lockTimeoutMs?: number;
}

/**
 * Installs the missing packages with apt, and completes an installation that was killed. Daemons of newly
 * installed packages are neither started nor left enabled; existing ones, and every SSH server, stay
 * unchanged. The installation continues if the connection breaks; the next call waits for it. Resolves to
 * notes for the operator, such as a daemon that could not be disabled.
 *
 * @throws PerijoveError PACKAGE_MISSING_NO_ROOT, PACKAGE_NOT_FOUND, PACKAGE_FAILED, PACKAGES_LOCKED,
 *   UNSUPPORTED_OS, DISK_FULL
 */
export async function installPackages(
  connection: HostConnection,
  packages: readonly string[],
  options: InstallOptions = {},
): Promise<readonly string[]> {
  const names = packages.map(quote).join(' ');
  return runInstallation(
    connection,
    {
      packages,
      missing: `for name in ${names}; do
  [ "$(dpkg-query -W -f '\${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing="$missing $name"
done`,
      functions: `undo() { :; }
add() {
  ${aptInstall('', names)}
}
install() { add || { apt-get -q update && add; }; }`,
    },
    options,
  );
}

export interface Installation {
  /** For messages. */
  readonly packages: readonly string[];
  /** Shell that sets `missing` to what is missing. */
  readonly missing: string;
  /** Shell that runs before the session, with `work` set to a directory for root. */
  readonly prepare?: string;
  /**
   * Shell functions for the session: `install`, and `undo`, called when the session ends. `$work/outcome` and
   * `$work/reason` may say why `install` failed, as an exit status and a text.
   */
  readonly functions: string;
}

/** Shell that installs packages with apt, without prompts, in the session of an installation. */
export function aptInstall(options: string, names: string): string {
  return `dpkg --configure -a &&
  apt-get -q -y -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=60 -o DPkg::Pre-Install-Pkgs::="sh $work/note-units" \\
    --no-install-recommends ${options} install ${names}`;
}

/** As `installPackages`, for any installation. */
export async function runInstallation(
  connection: HostConnection,
  installation: Installation,
  options: InstallOptions = {},
): Promise<readonly string[]> {
  const { packages } = installation;
  const { signal, onWait } = options;
  const host = connection.host.name;
  const giveUpAt = performance.now() + (options.lockTimeoutMs ?? lockTimeoutMs);
  for (;;) {
    const result = await connection.exec(installScript(installation), {
      timeoutMs: installTimeoutMs,
      ...(signal === undefined ? {} : { signal }),
    });
    if (result.code !== exits.locked) {
      throwUnlessInstalled(result, packages);
      return result.stdout.split('\n').filter((line) => line !== '');
    }
    const holder = result.stderr.trim().split('\n').at(-1) ?? '';
    if (performance.now() > giveUpAt) {
      throw new PerijoveError('PACKAGES_LOCKED', `apt is locked by ${holder}`, { host });
    }
    onWait?.(`waiting for apt on ${host}, which is locked by ${holder}`);
    await delay(lockPollMs, undefined, signal === undefined ? {} : { signal });
  }
}

function throwUnlessInstalled(result: ExecResult, packages: readonly string[]): void {
  const { host, code, stderr } = result;
  const last = stderr.trim().split('\n').slice(-5).join('\n');
  switch (code) {
    case 0:
      return;
    case exits.noApt:
      throw new PerijoveError('UNSUPPORTED_OS', `${host} has no apt to install ${packages.join(', ')}`, {
        host,
      });
    case exits.notRoot:
      throw new PerijoveError('PACKAGE_MISSING_NO_ROOT', `packages missing: ${last}`, {
        host,
        remedy: `Run \`sudo apt-get install ${last}\` there, connect as root, or set \`become: sudo\`.`,
      });
    case exits.notFound:
      throw new PerijoveError('PACKAGE_NOT_FOUND', last.split('\n').at(-1) ?? last, { host });
    default: {
      const aptCode = aptCodes[code ?? 0];
      if (aptCode !== undefined) throw new PerijoveError(aptCode, last.split('\n').at(-1) ?? last, { host });
      throw new PerijoveError(/no space left/i.test(stderr) ? 'DISK_FULL' : 'PACKAGE_FAILED', last, { host });
    }
  }
}

/** Shell function that prints the holder of one of apt's locks, `apt-get (process 12)`, or nothing. */
export const aptLockHolder = `
apt_lock_holder() {
  for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
    [ -e "$lock" ] || continue
    inode=$(stat -c %i "$lock")
    pid=$(awk -v inode="$inode" '{ n = split($6, id, ":"); if (id[n] == inode && $5 > 0) { print $5; exit } }' /proc/locks)
    if [ -n "$pid" ]; then echo "$(cat "/proc/$pid/comm" 2>/dev/null || echo another program) (process $pid)"; return; fi
  done
}`.trim();

/** Files of an installation; one directory, since only one installation runs on a machine at a time. */
const workDirectory = '/run/perijove-apt';
/** Units of new packages that must still be disabled, also after an installation was killed. */
const broughtFile = '/var/lib/misc/perijove-brought';
/** Notes for the operator about an installation, until they are reported. */
const notesFile = '/var/lib/misc/perijove-notes';

/**
 * Shell function that succeeds for root if an installation is running, or was killed and left cleanup to do:
 * units that are masked or must be disabled, or a note.
 */
export const unfinishedInstallation = `
unfinished_installation() {
  [ -s ${broughtFile} ] || [ -s ${notesFile} ] || [ -e ${workDirectory} ] || return 1
  [ "$(id -u)" = 0 ]
}`.trim();

/**
 * The hook that apt runs before it unpacks (apt.conf(5), "DPkg::Pre-Install-Pkgs"), with the archive names on
 * stdin. Records the units of new packages, except those whose name was already in use, and masks them until
 * the installation ends. Each check tests a file, so that it cannot miss the output of another program. Units
 * that cannot be read are not recorded, and stay as the package leaves them.
 */
const noteUnits = `
is_there() {
  for directory in /etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
    if [ -e "$directory/$1" ] || [ -h "$directory/$1" ]; then return 0; fi
  done
  return 1
}
mkdir -p "\${brought%/*}"
unread() { echo "what \${1##*/} brings could not be read: its daemons stay as the package leaves them" >> "$notes"; }
while IFS= read -r archive; do
  name=$(dpkg-deb --field "$archive" Package) && [ -n "$name" ] || { unread "$archive"; continue; }
  case $name in openssh-*|dropbear*|tinyssh*) continue ;; esac
  for list in "/var/lib/dpkg/info/$name.list" "/var/lib/dpkg/info/$name":*.list; do
    if [ -e "$list" ]; then continue 2; fi
  done
  rm -rf "$work/cut" "$work/control"
  mkdir "$work/control" || exit 0
  { dpkg-deb --ctrl-tarfile "$archive" || : > "$work/cut"; } | tar -xf - -C "$work/control" && [ ! -e "$work/cut" ] || {
    unread "$archive"
    continue
  }
  if [ -s "$work/control/md5sums" ]; then
    # By far quicker than to unpack the archive once more.
    while read -r sum path; do echo "./$path"; done < "$work/control/md5sums" > "$work/paths"
    [ ! -s "$work/control/conffiles" ] ||
      while read -r path; do echo ".$path"; done < "$work/control/conffiles" >> "$work/paths"
  else
    # Not through a file: an archive may be larger than /run, which is memory.
    { dpkg-deb --fsys-tarfile "$archive" || : > "$work/cut"; } | tar -tf - > "$work/paths" && [ ! -e "$work/cut" ] || {
      unread "$archive"
      continue
    }
  fi
  while IFS= read -r path; do
    unit=\${path##*/}
    case $unit in ''|ssh.*|sshd.*|ssh@*|sshd@*|ssh|sshd) continue ;; esac
    case $path in
      ./lib/systemd/system/$unit|./usr/lib/systemd/system/$unit)
        case $unit in *.service|*.socket|*.timer|*.path) ;; *) continue ;; esac
        if is_there "$unit"; then continue; fi
        echo "unit $unit" >> "$brought"
        if [ -d /run/systemd/system ]; then ln -s /dev/null "/run/systemd/system/$unit" && echo "$unit" >> "$work/masked"; fi ;;
      ./etc/init.d/$unit)
        if [ -e "/etc/init.d/$unit" ] || is_there "$unit.service"; then continue; fi
        echo "script $unit" >> "$brought" ;;
    esac
  done < "$work/paths"
done
exit 0`.trim();

/**
 * Everything that must not be interrupted runs in its own session, which outlives the SSH session and writes
 * to files: apt, and around it the policy that prevents daemons from starting (Debian Policy 9.3.3.1,
 * policy-rc.d). Only one such session runs on a machine at a time, including the lab's; it cleans up after a
 * killed one.
 */
function installScript({ missing, prepare = '', functions }: Installation): string {
  const inner = `
${daemonPolicy}
unmask() {
  [ -s "$work/masked" ] || return 0
  while IFS= read -r unit; do
    if [ -h "/run/systemd/system/$unit" ]; then rm -f "/run/systemd/system/$unit"; fi
  done < "$work/masked"
  rm -f "$work/masked"
  systemctl daemon-reload
}
disable_brought() {
  [ -s "$brought" ] || return 0
  while read -r kind name; do
    case $kind in
      unit) [ ! -d /run/systemd/system ] || systemctl disable "$name" || deb-systemd-helper disable "$name" ;;
      script) [ -d /run/systemd/system ] && [ -e "/lib/systemd/system/$name.service" ] || update-rc.d "$name" disable ;;
    esac || echo "$name could not be disabled: it may start at the next boot" >> "$notes"
  done < "$brought"
  rm -f "$brought"
}
end() {
  release_daemons; unmask
  undo >> "$work/log" 2>&1
  : > "$work/ended"
  # Nobody reads them any more.
  kill -0 "$outer" 2>/dev/null || rm -rf "$work"
}
trap end EXIT
trap 'exit 143' TERM HUP INT
hold_daemons || exit 1
printf '%s\\n' ${quote(noteUnits)} > "$work/note-units" || exit 1
${functions}
install > "$work/log" 2>&1
code=$?
{ unmask; disable_brought; } >> "$work/log" 2>&1
exit "$code"`.trim();
  return `
${aptLockHolder}
command -v apt-get >/dev/null || exit ${exits.noApt}
${unfinishedInstallation}
missing=
${missing}
[ -n "$missing" ] || unfinished_installation || exit 0
[ "$(id -u)" = 0 ] || { echo "\${missing# }" >&2; exit ${exits.notRoot}; }
mkdir -p /run/lock
exec 8> /run/lock/perijove-apt
flock -n 8 || { echo 'an installation by Perijove that is under way' >&2; exit ${exits.locked}; }
holder=$(apt_lock_holder)
[ -z "$holder" ] || { echo "$holder" >&2; exit ${exits.locked}; }
work=${workDirectory} brought=${broughtFile} notes=${notesFile} outer=$$
# What an installation masked that was killed is unmasked by this one.
[ ! -e "$work/masked" ] || cp "$work/masked" "$work.masked" || exit 1
rm -rf "$work" && mkdir -m 700 "$work" || exit 1
[ ! -e "$work.masked" ] || mv "$work.masked" "$work/masked" || exit 1
${prepare}
DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND work brought notes outer
setsid -w sh -c ${quote(inner)} </dev/null >/dev/null 2>&1
code=$?
if [ -s "$notes" ]; then cat "$notes" && rm -f "$notes"; fi
if [ "$code" != 0 ]; then
  tail -n 20 "$work/log" >&2
  if grep -q 'Could not get lock\\|is another process using it' "$work/log"; then
    code=${exits.locked}; holder=$(apt_lock_holder); echo "\${holder:-another program}" >&2
  fi
  if missing=$(grep -E 'Unable to locate package|has no installation candidate' "$work/log"); then
    code=${exits.notFound}; echo "$missing" | sed 's/^E: //' | sort -u > "$work/missing"; cat "$work/missing" >&2
  fi
  if [ -s "$work/outcome" ]; then cat "$work/reason" >&2; code=$(cat "$work/outcome"); fi
fi
# One that was killed leaves what is still to be put right.
[ ! -e "$work/ended" ] || rm -rf "$work"
exit "$code"`.trim();
}
