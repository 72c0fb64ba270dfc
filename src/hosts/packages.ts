import { setTimeout as delay } from 'node:timers/promises';
import { PerijoveError } from '../errors/error.js';
import type { ExecResult, HostConnection } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';

/** apt may have to fetch some hundred megabytes. */
const installTimeoutMs = 15 * 60_000;
const lockTimeoutMs = 10 * 60_000;
const lockPollMs = 2_000;

const exits = { locked: 75, noApt: 76, notRoot: 77, notFound: 78 } as const;

export interface InstallOptions {
  readonly signal?: AbortSignal;
  /** Told each time that somebody else holds apt, and who. */
  readonly onWait?: (what: string) => void;
  /** How long to wait for somebody else's apt; ten minutes by default. */
  readonly lockTimeoutMs?: number;
}

/**
 * Installs those of the packages that the host lacks, with apt. No daemon that a package brings is started, or
 * stays enabled. The installation goes on when the connection breaks; the next call waits for it.
 *
 * @throws PerijoveError PACKAGE_MISSING_NO_ROOT, PACKAGE_NOT_FOUND, PACKAGE_FAILED, PACKAGES_LOCKED,
 *   UNSUPPORTED_OS, DISK_FULL
 */
export async function installPackages(
  connection: HostConnection,
  packages: readonly string[],
  options: InstallOptions = {},
): Promise<void> {
  if (packages.length === 0) return;
  const { signal, onWait } = options;
  const host = connection.host.name;
  const giveUpAt = performance.now() + (options.lockTimeoutMs ?? lockTimeoutMs);
  for (;;) {
    const result = await connection.exec(installScript(packages), {
      timeoutMs: installTimeoutMs,
      ...(signal === undefined ? {} : { signal }),
    });
    if (result.code !== exits.locked) {
      throwUnlessInstalled(result, packages);
      return;
    }
    const holder = result.stderr.trim().split('\n').at(-1) ?? '';
    if (performance.now() > giveUpAt) {
      throw new PerijoveError('PACKAGES_LOCKED', `apt is held by ${holder}`, { host });
    }
    onWait?.(`waits for apt on ${host}, which is held by ${holder}`);
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
      throw new PerijoveError('PACKAGE_MISSING_NO_ROOT', `missing: ${last}`, {
        host,
        remedy: `Run there: sudo apt-get install ${last}; or connect as root, or set \`become: sudo\`.`,
      });
    case exits.notFound:
      throw new PerijoveError('PACKAGE_NOT_FOUND', last.split('\n').at(-1) ?? last, { host });
    default:
      throw new PerijoveError(/no space left/i.test(stderr) ? 'DISK_FULL' : 'PACKAGE_FAILED', last, { host });
  }
}

/** Shell function that prints who holds one of apt's locks: `apt-get (process 12)`; nothing when nobody does. */
export const aptLockHolder = `
apt_lock_holder() {
  for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
    [ -e "$lock" ] || continue
    inode=$(stat -c %i "$lock")
    pid=$(awk -v inode="$inode" '{ n = split($6, id, ":"); if (id[n] == inode && $5 > 0) { print $5; exit } }' /proc/locks)
    if [ -n "$pid" ]; then echo "$(cat "/proc/$pid/comm" 2>/dev/null || echo another program) (process $pid)"; return; fi
  done
}`.trim();

/**
 * Everything that must not be cut in half is in a session of its own, which outlives the SSH session and writes
 * to files: apt, and around it the policy that keeps daemons from starting (Debian Policy 9.3.3.1, policy-rc.d).
 * One such session at a time on a machine, the lab's own included; what one left behind when it was killed is
 * put right by the next.
 */
function installScript(packages: readonly string[]): string {
  const names = packages.map(quote).join(' ');
  const inner = `
policy=/usr/sbin/policy-rc.d
saved=$policy.before-perijove
restore() {
  if [ -e "$saved" ] || [ -h "$saved" ]; then mv -fT "$saved" "$policy"
  elif grep -qs perijove "$policy"; then rm -f "$policy"; fi
}
daemons() {
  if [ -d /run/systemd/system ]; then systemctl list-unit-files --state=enabled --no-legend | cut -d' ' -f1 | sort
  else ls /etc/init.d; fi
}
disable() {
  if [ -d /run/systemd/system ]; then systemctl disable --now "$1"; else update-rc.d "$1" disable; fi
}
restore
if [ -e "$policy" ] || [ -h "$policy" ]; then mv -T "$policy" "$saved"; fi
trap restore EXIT
trap 'exit 143' TERM HUP INT
printf '#!/bin/sh\\n# perijove lab, perijove up: no daemon is started while packages are installed\\nexit 101\\n' > "$policy.new"
chmod 755 "$policy.new" && mv -fT "$policy.new" "$policy" || exit 1
daemons > "$work/before"
install() {
  dpkg --configure -a &&
  apt-get -q -y -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=60 --no-install-recommends install ${names}
}
install > "$work/log" 2>&1 || { apt-get -q update && install; } > "$work/log" 2>&1
code=$?
daemons > "$work/after"
for daemon in $(comm -13 "$work/before" "$work/after"); do disable "$daemon" >> "$work/log" 2>&1; done
exit "$code"`.trim();
  return `
${aptLockHolder}
command -v apt-get >/dev/null || exit ${exits.noApt}
missing=
for name in ${names}; do
  [ "$(dpkg-query -W -f '\${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing="$missing $name"
done
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "\${missing# }" >&2; exit ${exits.notRoot}; }
mkdir -p /run/lock
exec 8> /run/lock/perijove-apt
flock -n 8 || { echo 'an installation by Perijove that is under way' >&2; exit ${exits.locked}; }
holder=$(apt_lock_holder)
[ -z "$holder" ] || { echo "$holder" >&2; exit ${exits.locked}; }
work=$(mktemp -d) || exit 1
DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND work
setsid -w sh -c ${quote(inner)} </dev/null >/dev/null 2>&1
code=$?
if [ "$code" != 0 ]; then
  tail -n 20 "$work/log" >&2
  if grep -q 'Could not get lock\\|is another process using it' "$work/log"; then
    code=${exits.locked}; holder=$(apt_lock_holder); echo "\${holder:-another program}" >&2
  fi
  if missing=$(grep -E 'Unable to locate package|has no installation candidate' "$work/log"); then
    code=${exits.notFound}; echo "$missing" | sed 's/^E: //' | sort -u > "$work/missing"; cat "$work/missing" >&2
  fi
fi
rm -rf "$work"
exit "$code"`.trim();
}
